//! Questions in SQL.

use crate::body::Body;
use crate::export::{ARROW, PARQUET, file};
use crate::queries::Current;
use crate::{ApiState, Problem, ndjson};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_query::render::Rows;
use bartizan_query::{FileFormat, QueryError, RowStream};
use bartizan_sql::{Question, Value, type_name};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;

/// The media type of CSV.
pub(crate) const CSV: &str = "text/csv; charset=utf-8";

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Ndjson,
    Csv,
    Arrow,
    Parquet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    query: String,
    /// What `?` and `$1` stand for.
    #[serde(default)]
    parameters: Vec<serde_json::Value>,
    #[serde(default)]
    format: Format,
}

/// The answer. Its first line as NDJSON names the columns, because there may be no row that does.
pub(crate) async fn sql(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<SqlBody>,
) -> Result<Response, Problem> {
    let parameters = body.parameters.into_iter().map(parameter).collect::<Result<_, _>>()?;
    let question = Question::new(body.query, state.names.context()).with(parameters);
    let rows = bartizan_sql::ask(&state.engine, question).await?;
    match body.format {
        Format::Ndjson => {
            let first = columns(&rows.schema());
            Ok(ndjson::plain(rows, first, asked))
        }
        Format::Csv => {
            let header = header(&rows.schema());
            let lines = futures::stream::iter([Ok(header)]).chain(csv(rows));
            Ok(([(CONTENT_TYPE, CSV)], axum::body::Body::from_stream(lines)).into_response())
        }
        Format::Arrow => file(rows, FileFormat::Arrow, ARROW),
        Format::Parquet => file(rows, FileFormat::Parquet, PARQUET),
    }
}

fn parameter(value: serde_json::Value) -> Result<Value, Problem> {
    use serde_json::Value as Json;
    let number = |n: &serde_json::Number| n.as_i64().map(Value::Int).or(n.as_f64().map(Value::Float));
    match value {
        Json::Null => Some(Value::Null),
        Json::Bool(b) => Some(Value::Bool(b)),
        Json::Number(n) => number(&n),
        Json::String(text) => Some(Value::Text(text)),
        Json::Array(_) | Json::Object(_) => None,
    }
    .ok_or_else(|| {
        let detail = "a parameter is a text, a number, true, false or null";
        Problem::bad_request(StatusCode::BAD_REQUEST, detail)
    })
}

/// `{"columns":[{"name":"src","type":"text"},…]}`
fn columns(schema: &SchemaRef) -> Bytes {
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) }))
        .collect();
    Bytes::from(format!("{}\n", json!({ "columns": columns })))
}

fn header(schema: &SchemaRef) -> Bytes {
    let mut line = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        cell(&mut line, i, field.name(), true);
    }
    line.extend_from_slice(b"\r\n");
    line.into()
}

/// RFC 4180. What breaks off breaks its connection off, as every file does.
fn csv(rows: RowStream) -> impl Stream<Item = Result<Bytes, QueryError>> {
    let texts: Vec<_> =
        rows.schema().fields().iter().map(|field| type_name(field.data_type()) == "text").collect();
    rows.map(move |batch| batch.map(|batch| lines(&batch, &texts))).inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "answer broke off");
        }
    })
}

fn lines(batch: &RecordBatch, texts: &[bool]) -> Bytes {
    let rows = Rows::plain(batch);
    let mut out = Vec::with_capacity(batch.num_rows() * 64);
    for row in 0..rows.len() {
        for (i, is_text) in texts.iter().enumerate() {
            cell(&mut out, i, &rows.text(i, row).unwrap_or_default(), *is_text);
        }
        out.extend_from_slice(b"\r\n");
    }
    out.into()
}

/// A cell; a text that a spreadsheet would run has an apostrophe before it.
fn cell(out: &mut Vec<u8>, number: usize, text: &str, guarded: bool) {
    if number > 0 {
        out.push(b',');
    }
    let guard = if guarded && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        out.extend_from_slice(format!("\"{guard}{}\"", text.replace('"', "\"\"")).as_bytes());
    } else {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}
