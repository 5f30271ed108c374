//! What JSON answers look like: for each form its members, their types and what they mean.
//!
//! A type is `text`, `time` (RFC 3339), `integer`, `number`, `bool`, `object` (of columns), `any`, another form, or
//! `list` of one of them; with `?` behind it it may be null. A member with `?` behind its name may be absent; `*` are
//! members of other names. That answers are so is tested with every operation of a real server: no member that is not
//! here, and none of these absent.
//!
//! There is a file of them for each subject, as of the operations ([`crate::routes`]).

mod common;
mod fleet;
mod people;
mod rows;
mod rules;
mod server;
mod store;

use serde_json::{Map, Value, json};

type Members = &'static [(&'static str, &'static str, &'static str)];

/// A form: its name and its members.
type Form = (&'static str, Members);

/// Every form, by its subject.
const SUBJECTS: [&[Form]; 7] =
    [rows::FORMS, rules::FORMS, fleet::FORMS, server::FORMS, store::FORMS, people::FORMS, common::FORMS];

fn forms() -> impl Iterator<Item = &'static Form> {
    SUBJECTS.into_iter().flatten()
}

/// The schemas of all forms, for `components/schemas`.
pub(crate) fn schemas() -> Map<String, Value> {
    forms().map(|(name, members)| ((*name).to_owned(), object(members))).collect()
}

fn object(members: Members) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut others = None;
    for (name, form, words) in members {
        let mut schema = schema(form);
        if schema["$ref"].is_null() {
            schema["description"] = (*words).into();
        } else {
            schema = json!({ "allOf": [schema], "description": words });
        }
        match name.strip_suffix('?') {
            _ if *name == "*" => others = Some(schema),
            Some(name) => drop(properties.insert(name.to_owned(), schema)),
            None => {
                required.push(*name);
                properties.insert((*name).to_owned(), schema);
            }
        }
    }
    let mut object = json!({ "type": "object", "properties": properties, "required": required });
    if let Some(others) = others {
        object["additionalProperties"] = others;
    }
    object
}

/// The schema of a type as it is written above.
pub(crate) fn schema(form: &str) -> Value {
    if let Some(form) = form.strip_suffix('?') {
        let mut schema = schema(form);
        schema["type"] = json!([schema["type"], "null"]);
        return schema;
    }
    if let Some(items) = form.strip_prefix("list ") {
        return json!({ "type": "array", "items": schema(items) });
    }
    match form {
        "text" => json!({ "type": "string" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "bool" => json!({ "type": "boolean" }),
        "integer" | "number" | "object" => json!({ "type": form }),
        "any" => json!({}),
        name => {
            debug_assert!(forms().any(|(known, _)| *known == name), "{name}");
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
    }
}
