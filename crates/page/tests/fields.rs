//! The page knows the fields of the filter language from a file, `web/src/lib/fields.json`, so that it need not ask. It is
//! made of the registry: `BARTIZAN_WRITE_FIELDS=1 cargo nextest run -p bartizan-page` writes it.

use bartizan_model::Kind;
use bartizan_schema::{FIELDS, Field};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

fn described(field: &Field) -> Value {
    let tables: Vec<&str> =
        Kind::ALL.into_iter().filter(|kind| field.is_in(*kind)).map(Kind::as_str).collect();
    json!({
        "name": field.name,
        "kind": format!("{:?}", field.kind).to_lowercase(),
        "columns": field.columns,
        "tables": tables,
        "about": field.doc,
    })
}

#[test]
fn the_page_knows_the_fields_of_the_language() {
    let mut text = String::from("[\n");
    for (at, field) in FIELDS.iter().enumerate() {
        let comma = if at + 1 < FIELDS.len() { "," } else { "" };
        writeln!(text, "  {}{comma}", described(field)).unwrap();
    }
    text.push_str("]\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/src/lib/fields.json");
    if std::env::var_os("BARTIZAN_WRITE_FIELDS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == text,
        "{} is not what the registry says; write it with BARTIZAN_WRITE_FIELDS=1",
        path.display()
    );
}
