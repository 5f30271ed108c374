//! Questions in SQL.

use crate::{
    args::{ConnectionArgs, SqlArgs},
    client::Client,
    clock,
    columns::{Column, Look},
    connection::Connection,
    failure::Failure,
    render::{Rows, Style},
    stream::{Lines, Piece, next_piece},
};
use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Read as _};

/// Bytes of a question that is read from stdin; the server takes fewer.
const MAX_TEXT: u64 = 1 << 20;

pub(crate) async fn sql(args: &ConnectionArgs, sql: SqlArgs, style: Style) -> Result<(), Failure> {
    let query = match sql.query.as_str() {
        "-" => {
            let mut text = String::new();
            io::stdin().take(MAX_TEXT).read_to_string(&mut text).context("cannot read the question")?;
            text
        }
        text => text.to_owned(),
    };
    let parameters: Vec<_> = sql.parameters.iter().map(|text| parameter(text)).collect();
    let client = Client::new(Connection::find(args)?)?;
    let question = json!({ "query": query, "parameters": parameters });
    let response = client.post_stream("/api/v1/sql", &question).await?;
    let mut lines = Lines::new(response.into_body(), super::ask::PATIENCE);
    let first = lines.next().await?;
    let columns = first.as_deref().map(columns).transpose()?;
    let Some(columns) = columns else {
        return Err(Failure::Partial("the answer broke off before its columns".to_owned()));
    };
    let (_, zone) = clock::now();
    let mut rows = Rows::new(sql.output, columns, style, zone, BufWriter::new(io::stdout()));
    let end = loop {
        match next_piece(&mut lines).await {
            Ok(Piece::Row(line)) => rows.line(&line)?,
            Ok(Piece::End(_)) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    // What came before a fault is still the person's.
    rows.finish()?;
    end
}

fn columns(line: &str) -> Result<Vec<Column>, Failure> {
    let value: Value = serde_json::from_str(line).context("the columns of the answer")?;
    let columns = value["columns"].as_array().ok_or_else(|| anyhow!("the answer names no columns"))?;
    let column = |column: &Value| {
        let look = match column["type"].as_str().unwrap_or_default() {
            "timestamp" => Look::Time,
            "smallint" | "integer" | "bigint" | "unsigned bigint" | "real" | "double" => Look::Number,
            _ => Look::Text,
        };
        Some(Column { name: column["name"].as_str()?.to_owned(), look })
    };
    Ok(columns.iter().filter_map(column).collect())
}

/// A number, a truth value or nothing as JSON writes them; anything else is a text.
fn parameter(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => value,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_what_they_look_like() {
        for (text, value) in [
            ("22", json!(22)),
            ("-1.5", json!(-1.5)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("web-1", json!("web-1")),
            ("192.0.2.7", json!("192.0.2.7")),
            ("\"22\"", json!("\"22\"")),
            ("[1]", json!("[1]")),
            ("", json!("")),
        ] {
            assert_eq!(parameter(text), value, "{text}");
        }
    }

    #[test]
    fn columns_look_as_their_types() {
        let line = r#"{"columns":[{"name":"h","type":"timestamp"},{"name":"n","type":"bigint"},{"name":"x","type":"text"}]}"#;
        let looks: Vec<_> = columns(line).unwrap().into_iter().map(|column| column.look).collect();
        assert_eq!(looks, [Look::Time, Look::Number, Look::Text]);
        assert!(columns("{}").is_err() && columns("x").is_err());
    }
}
