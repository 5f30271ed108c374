//! A table's columns as the log states them.

use super::{Format, Metadata, PARTITION};
use bartizan_model::Micros;
use bartizan_schema::Relation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The metadata of a new table.
pub(crate) fn new_metadata(relation: Relation, now: Micros) -> Metadata {
    Metadata {
        id: uuid::Uuid::new_v4().to_string(),
        name: Some(relation.to_string()),
        description: None,
        format: Format { provider: "parquet".into(), options: BTreeMap::new() },
        schema_string: schema_text(our_fields(relation)),
        partition_columns: vec![PARTITION.to_owned()],
        configuration: BTreeMap::new(),
        created_time: Some(now.0.div_euclid(1000)),
    }
}

/// What a table's metadata must become before this version writes to it: nothing to do, or our new columns
/// added at its end. Columns that we do not know are kept, if rows may lack them.
///
/// # Errors
/// A sentence on what this version does not understand.
pub(crate) fn upgrade(relation: Relation, found: &Metadata) -> Result<Option<Metadata>, String> {
    if found.format.provider != "parquet" {
        return Err(format!("files of format `{}`", found.format.provider));
    }
    if found.partition_columns != [PARTITION] {
        return Err(format!("partition columns {:?}", found.partition_columns));
    }
    let schema: Value = serde_json::from_str(&found.schema_string).map_err(|e| format!("its schema: {e}"))?;
    let mut fields = schema["fields"].as_array().ok_or("a schema without fields")?.clone();
    let before = fields.len();
    let ours = our_fields(relation);
    for field in &fields {
        if field["nullable"] == json!(false) && !ours.iter().any(|o| o["name"] == field["name"]) {
            return Err(format!("the column {}, which every row must fill", field["name"]));
        }
    }
    for field in ours {
        match fields.iter().find(|f| f["name"] == field["name"]) {
            Some(there) if there["type"] != field["type"] => {
                return Err(format!("the column {} as {}", field["name"], there["type"]));
            }
            Some(_) => {}
            None => fields.push(field),
        }
    }
    if fields.len() == before {
        return Ok(None);
    }
    Ok(Some(Metadata { schema_string: schema_text(fields), ..found.clone() }))
}

fn our_fields(relation: Relation) -> Vec<Value> {
    let field = |name: &str, of: &str, nullable: bool, doc: &str| json!({"name": name, "type": of, "nullable": nullable, "metadata": {"comment": doc}});
    let mut fields: Vec<Value> =
        relation.columns().iter().map(|c| field(c.name, c.kind.delta(), c.nullable, c.doc)).collect();
    fields.push(field(
        PARTITION,
        "date",
        true,
        "UTC day of time, or of received where they are over a day apart and nothing was imported",
    ));
    fields
}

fn schema_text(fields: Vec<Value>) -> String {
    json!({"type": "struct", "fields": fields}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Kind;

    #[test]
    fn new_columns_are_added_and_strange_ones_kept_or_refused() {
        let ours = new_metadata(Kind::Losses.into(), Micros(0));
        assert_eq!(upgrade(Kind::Losses.into(), &ours), Ok(None));
        let edit = |change: fn(&mut Vec<Value>)| {
            let mut schema: Value = serde_json::from_str(&ours.schema_string).unwrap();
            change(schema["fields"].as_array_mut().unwrap());
            Metadata { schema_string: schema.to_string(), ..ours.clone() }
        };
        let older = edit(|f| f.retain(|f| f["name"] != "detail"));
        let upgraded = upgrade(Kind::Losses.into(), &older).unwrap().unwrap();
        assert!(upgraded.schema_string.contains("detail"));
        assert_eq!(upgraded.id, ours.id);
        assert_eq!(upgrade(Kind::Losses.into(), &upgraded), Ok(None));
        let stranger =
            edit(|f| f.push(json!({"name": "x", "type": "long", "nullable": true, "metadata": {}})));
        assert_eq!(upgrade(Kind::Losses.into(), &stranger), Ok(None));
        let must = edit(|f| f.push(json!({"name": "x", "type": "long", "nullable": false, "metadata": {}})));
        assert!(upgrade(Kind::Losses.into(), &must).is_err());
        let retyped = edit(|f| f[0]["type"] = json!("string"));
        assert!(upgrade(Kind::Losses.into(), &retyped).unwrap_err().contains("time"));
    }
}
