//! The table of operations: each is routed and described by the same line, and what is said of its question is what
//! its handler takes.
//!
//! The members of a question are found by asking its type: [`Probe`] is a source of values that notes what it is asked
//! for. So no description can differ from what is parsed, and no macro is needed for it.

use crate::ApiState;
use crate::needs::{Needs, guard};
use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, post};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
};
use serde_json::{Map, Value, json};
use std::fmt;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// JSON of a form of [`crate::answers`].
    Json(&'static str),
    /// Something was made, and is told in such a form.
    Created(&'static str),
    /// Newline-delimited JSON, whose lines are described in words.
    Lines(&'static str),
    /// The same, or what else the question wants of these media types.
    Forms(&'static str, &'static [&'static str]),
    /// Server-sent events, described in words.
    Events(&'static str),
    Text,
    /// Done, and nothing to say.
    Done,
}

/// What is said of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) needs: Needs,
    /// Whether it is in the audit log that it was done, with what was asked for.
    pub(crate) noted: bool,
    pub(crate) answer: Answer,
    pub(crate) summary: &'static str,
}

pub(crate) const fn about(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    needs: Needs,
    answer: Answer,
    summary: &'static str,
) -> About {
    About { path, id, tag, needs, noted: false, answer, summary }
}

impl About {
    /// Done, it is in the audit log.
    pub(crate) const fn noted(self) -> Self {
        Self { noted: true, ..self }
    }
}

/// What an operation takes.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Nothing,
    /// A JSON object of this schema.
    Object(Value),
    /// Bytes, and these parameters of the query.
    Bytes(Value),
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) about: About,
    pub(crate) question: Question,
}

/// Operations with their routes.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) router: Router<ApiState>,
    pub(crate) described: Vec<Operation>,
}

impl Operations {
    pub(crate) fn get<H: Handler<T, ApiState>, T: 'static>(self, about: About, handler: H) -> Self {
        self.operation("get", about, Question::Nothing, get(handler))
    }

    pub(crate) fn delete<H: Handler<T, ApiState>, T: 'static>(self, about: About, handler: H) -> Self {
        self.operation("delete", about, Question::Nothing, delete(handler))
    }

    /// An operation whose handler takes a JSON body of the type `B`.
    pub(crate) fn post<B: DeserializeOwned, H: Handler<T, ApiState>, T: 'static>(
        self,
        about: About,
        handler: H,
    ) -> Self {
        self.operation("post", about, Question::Object(schema_of::<B>()), post(handler))
    }

    /// An operation whose handler takes bytes, and parameters of the type `P` in its query.
    pub(crate) fn deliver<P: DeserializeOwned, H: Handler<T, ApiState>, T: 'static>(
        self,
        about: About,
        handler: H,
    ) -> Self {
        self.operation("post", about, Question::Bytes(schema_of::<P>()), post(handler))
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.described.extend(others.described);
        self
    }

    fn operation(
        mut self,
        method: &'static str,
        about: About,
        question: Question,
        route: MethodRouter<ApiState>,
    ) -> Self {
        let (needs, noted) = (about.needs, about.noted.then_some(about.id));
        let route =
            route.route_layer(middleware::from_fn(move |request, next| guard(needs, noted, request, next)));
        self.router = self.router.route(about.path, route);
        self.described.push(Operation { method, about, question });
        self
    }
}

/// The JSON schema of what a type is read from.
fn schema_of<T: DeserializeOwned>() -> Value {
    let mut noted = Noted::default();
    let read = T::deserialize(Probe(&mut noted));
    debug_assert!(read.is_ok(), "{}: {:?}", std::any::type_name::<T>(), read.err());
    if let Some(members) = noted.members.clone() {
        let all: Map<String, Value> = members.into_iter().collect();
        for name in noted.schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
            let mut without = all.clone();
            without.remove(name);
            if T::deserialize(Value::Object(without)).is_err() {
                noted.required.push(Value::from(name.clone()));
            }
        }
        noted.schema["required"] = Value::Array(std::mem::take(&mut noted.required));
    }
    noted.schema
}

/// What was noted of a value: its schema, and one that can be read; of an object its members' values.
#[derive(Default)]
struct Noted {
    schema: Value,
    sample: Value,
    members: Option<Vec<(String, Value)>>,
    required: Vec<Value>,
}

/// A source of values that are whatever is asked for.
struct Probe<'a>(&'a mut Noted);

impl Probe<'_> {
    fn note(&mut self, schema: Value, sample: Value) {
        (self.0.schema, self.0.sample) = (schema, sample);
    }
}

/// A type asked for something that no question has, or was not content with what it got.
#[derive(Debug)]
struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unknown {}

impl de::Error for Unknown {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// `method(visit, schema, sample)`: each is a plain value.
macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $schema:tt;)*) => {$(
        fn $method<V: de::Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
            self.note(json!($schema), json!($value));
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Unknown;

    plain! {
        deserialize_bool visit_bool true, {"type": "boolean"};
        deserialize_i8 visit_i8 1, {"type": "integer"};
        deserialize_i16 visit_i16 1, {"type": "integer"};
        deserialize_i32 visit_i32 1, {"type": "integer"};
        deserialize_i64 visit_i64 1, {"type": "integer", "format": "int64"};
        deserialize_u8 visit_u8 1, {"type": "integer", "minimum": 0};
        deserialize_u16 visit_u16 1, {"type": "integer", "minimum": 0};
        deserialize_u32 visit_u32 1, {"type": "integer", "minimum": 0};
        deserialize_u64 visit_u64 1, {"type": "integer", "minimum": 0};
        deserialize_f64 visit_f64 1.0, {"type": "number"};
        deserialize_str visit_str "x", {"type": "string"};
        deserialize_string visit_str "x", {"type": "string"};
    }

    /// Of a time: text or a number; of a value that is kept as it comes: anything.
    fn deserialize_any<V: de::Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let time = std::any::type_name::<V>().contains("WhenVisitor");
        let forms =
            json!([{"type": "string", "format": "date-time"}, {"type": "integer", "format": "int64"}]);
        self.note(if time { json!({"oneOf": forms}) } else { json!({}) }, json!(1));
        visitor.visit_i64(1)
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        let Self(noted) = self;
        let value = visitor.visit_some(Probe(noted))?;
        match noted.schema["type"].as_str().map(str::to_owned) {
            Some(kind) => noted.schema["type"] = json!([kind, "null"]),
            None => {
                if let Some(forms) = noted.schema["oneOf"].as_array_mut() {
                    forms.push(json!({"type": "null"}));
                }
            }
        }
        Ok(value)
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: de::Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let mut item = Noted::default();
        let value = visitor.visit_seq(One(Some(&mut item)))?;
        self.note(json!({"type": "array", "items": item.schema}), json!([item.sample]));
        Ok(value)
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        let mut members = Vec::new();
        let value = visitor.visit_map(Members { fields, at: 0, members: &mut members })?;
        let properties: Map<String, Value> = members
            .iter()
            .map(|(name, noted): &(String, Noted)| (name.clone(), noted.schema.clone()))
            .collect();
        let samples: Vec<(String, Value)> =
            members.into_iter().map(|(name, noted)| (name, noted.sample)).collect();
        let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        self.note(schema, Value::Object(samples.iter().cloned().collect()));
        self.0.members = Some(samples);
        Ok(value)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.note(json!({"type": "string", "enum": variants}), json!(variants[0]));
        visitor.visit_enum(First(variants[0]))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

/// A list of one.
struct One<'a>(Option<&'a mut Noted>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Unknown;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unknown> {
        self.0.take().map(|noted| seed.deserialize(Probe(noted))).transpose()
    }
}

/// All members of an object.
struct Members<'a> {
    fields: &'static [&'static str],
    at: usize,
    members: &'a mut Vec<(String, Noted)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Unknown;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unknown> {
        let Some(name) = self.fields.get(self.at) else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unknown> {
        let mut noted = Noted::default();
        let value = seed.deserialize(Probe(&mut noted))?;
        self.members.push((self.fields[self.at].to_owned(), noted));
        self.at += 1;
        Ok(value)
    }
}

/// The first word of an enumeration.
struct First(&'static str);

impl<'de> EnumAccess<'de> for First {
    type Error = Unknown;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Unknown> {
        Ok((seed.deserialize(de::value::BorrowedStrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for First {
    type Error = Unknown;

    fn unit_variant(self) -> Result<(), Unknown> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Unknown> {
        Err(de::Error::custom("a word with a value"))
    }

    fn tuple_variant<V: de::Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Unknown> {
        Err(de::Error::custom("a word with values"))
    }

    fn struct_variant<V: de::Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Unknown> {
        Err(de::Error::custom("a word with members"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::When;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Form {
        Short,
        Long,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its form matters")]
    struct Part {
        digest: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its form matters")]
    struct Asked {
        filter: String,
        #[serde(default)]
        wanted: bool,
        since: Option<When>,
        limit: Option<u64>,
        parts: Vec<Part>,
        form: Form,
        any: Value,
    }

    #[test]
    fn a_schema_is_what_the_type_reads() {
        assert!(matches!(serde_json::from_str("\"long\""), Ok(Form::Long)));
        let part = json!({"type": "object", "properties": {"digest": {"type": "string"}}, "additionalProperties": false});
        let times = json!([{"type": "string", "format": "date-time"}, {"type": "integer", "format": "int64"}, {"type": "null"}]);
        let want = json!({
            "type": "object", "additionalProperties": false, "required": ["any", "filter", "form", "parts"],
            "properties": {
                "filter": {"type": "string"}, "wanted": {"type": "boolean"}, "since": {"oneOf": times},
                "limit": {"type": ["integer", "null"], "minimum": 0}, "parts": {"type": "array", "items": part},
                "form": {"type": "string", "enum": ["short", "long"]}, "any": {},
            },
        });
        assert_eq!(schema_of::<Asked>(), want);
    }
}
