//! A serde deserializer over the tree that says where an error is, and reads loose text as what is wanted.

use crate::{
    error::DeError,
    tree::{Node, Value},
};
use serde::de::{
    self, Deserializer, Error as _, IntoDeserializer, Visitor,
    value::{MapAccessDeserializer, StrDeserializer},
};
use std::collections::btree_map;

#[derive(Clone, Copy)]
pub(crate) struct NodeDeserializer<'a>(pub(crate) &'a Node);

impl<'de> NodeDeserializer<'_> {
    /// Loose text as a `T`, if it is one; otherwise as text, so that the visitor says what it wanted.
    fn scalar<V: Visitor<'de>, T: std::str::FromStr>(
        self,
        visitor: V,
        visit: impl FnOnce(V, T) -> Result<V::Value, DeError>,
    ) -> Result<V::Value, DeError> {
        if let Value::Loose(text) = &self.0.value
            && let Ok(value) = text.trim().parse()
        {
            return visit(visitor, value).map_err(|e| e.at(self.0));
        }
        self.deserialize_any(visitor)
    }
}

macro_rules! scalars {
    ($($method:ident as $type:ty => $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
            self.scalar(visitor, |v, value: $type| v.$visit(value))
        })*
    };
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Text(s) | Value::Loose(s) => visitor.visit_str(s),
            Value::Integer(i) => visitor.visit_i64(*i),
            Value::Float(f) => visitor.visit_f64(*f),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(table) => visitor.visit_map(Entries::new(table, &[])),
        }
        .map_err(|e| e.at(self.0))
    }

    scalars! {
        deserialize_bool as bool => visit_bool;
        deserialize_i8 as i64 => visit_i64;
        deserialize_i16 as i64 => visit_i64;
        deserialize_i32 as i64 => visit_i64;
        deserialize_i64 as i64 => visit_i64;
        deserialize_u8 as u64 => visit_u64;
        deserialize_u16 as u64 => visit_u64;
        deserialize_u32 as u64 => visit_u64;
        deserialize_u64 as u64 => visit_u64;
        deserialize_f32 as f64 => visit_f64;
        deserialize_f64 as f64 => visit_f64;
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let Value::Loose(text) = &self.0.value else {
            return self.deserialize_any(visitor);
        };
        let inner = text.trim();
        let inner = inner.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(inner);
        let items: Vec<Node> = inner
            .split(',')
            .map(|item| item.trim().trim_matches('"'))
            .filter(|item| !item.is_empty())
            .map(|item| Node { value: Value::Loose(item.to_owned()), ..self.0.clone() })
            .collect();
        visitor.visit_seq(Items(items.iter())).map_err(|e| e.at(self.0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let Value::Table(table) = &self.0.value else {
            return self.deserialize_any(visitor);
        };
        visitor.visit_map(Entries::new(table, fields)).map_err(|e| e.at(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Text(s) | Value::Loose(s) => {
                let variant: StrDeserializer<'_, DeError> = s.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(Entries::new(table, &[]))),
            _ => Err(DeError::custom("a word is expected")),
        }
        .map_err(|e: DeError| e.at(self.0))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = DeError;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DeError> {
        self.0.next().map(|node| seed.deserialize(NodeDeserializer(node))).transpose()
    }
}

/// The entries of a table, without those that are meant for somebody else.
struct Entries<'a> {
    entries: btree_map::Iter<'a, String, Node>,
    fields: &'static [&'static str],
    value: Option<&'a Node>,
}

impl<'a> Entries<'a> {
    fn new(table: &'a std::collections::BTreeMap<String, Node>, fields: &'static [&'static str]) -> Self {
        Self { entries: table.iter(), fields, value: None }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = DeError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let fields = self.fields;
        let Some((key, node)) =
            self.entries.find(|(key, node)| !node.origin.lenient || fields.contains(&key.as_str()))
        else {
            return Ok(None);
        };
        self.value = Some(node);
        let key: StrDeserializer<'_, DeError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|e| e.at(node))
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DeError> {
        let node = self.value.take().ok_or_else(|| DeError::custom("a value without its key"))?;
        seed.deserialize(NodeDeserializer(node)).map_err(|e| e.at(node))
    }
}
