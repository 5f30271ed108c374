//! What the API says of itself: an OpenAPI document made from the table of operations, and a page of it for people.

use crate::operations::{Answer, Operation, Question};
use crate::sessions::COOKIE;
use crate::{ApiState, PROBLEM_JSON, QUERY_HEADER, answers, words};
use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

const ABOUT: &str = "Questions about what the firewalls of a fleet logged, and work on the store. Every path but `health` \
                     and signing in wants a bearer token or the cookie of a session. Unknown members of a question are refused. Every error is a problem document.";

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in crate::routes::operations() {
        let path = paths.entry(operation.about.path).or_insert_with(|| json!({}));
        path[operation.method] = described(&operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Bartizan", "version": "1", "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": answers::schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    })
}

fn described(Operation { about, question, .. }: &Operation) -> Value {
    let lines = |words: &str| json!({"type": "string", "description": words});
    let (status, media, schema) = match about.answer {
        Answer::Json(form) => ("200", "application/json", answers::schema(form)),
        Answer::Created(form) => ("201", "application/json", answers::schema(form)),
        Answer::Lines(words) | Answer::Forms(words, _) => ("200", "application/x-ndjson", lines(words)),
        Answer::Events(words) => ("200", "text/event-stream", lines(words)),
        Answer::Text => ("200", "text/plain", json!({"type": "string"})),
        Answer::Done => ("204", "", Value::Null),
    };
    let mut content = json!({media: {"schema": schema}});
    if let Answer::Forms(_, others) = about.answer {
        for media in others {
            content[media] = json!({"schema": {"type": "string"}});
        }
    }
    let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    let mut operation = json!({
        "operationId": about.id,
        "tags": [about.tag],
        "summary": about.summary,
        "responses": {
            status: {"description": "the answer", "content": content},
            "default": {"description": "why it cannot be answered", "content": {PROBLEM_JSON: problem}},
        },
    });
    if about.tag == "rows" || about.tag == "rulesets" {
        let name = json!({"description": "the name of the question", "schema": {"type": "string"}});
        operation["responses"][status]["headers"] = json!({QUERY_HEADER.as_str(): name});
    }
    if about.answer == Answer::Done {
        operation["responses"][status] = json!({"description": "done"});
    }
    if let Some(words) = about.needs.words() {
        operation["description"] = words.into();
    } else {
        operation["security"] = json!([]);
    }
    let mut parameters: Vec<Value> = Vec::new();
    if about.path.contains("{id}") {
        let schema = json!({"type": "string"});
        let words = "the import, as it was opened";
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "schema": schema, "description": words,
        }));
    }
    match question {
        Question::Nothing => {}
        Question::Object(schema) => {
            let mut schema = schema.clone();
            words::describe(&mut schema);
            let content = json!({"application/json": {"schema": schema}});
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        Question::Bytes(schema) => {
            let content =
                json!({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}});
            operation["requestBody"] = json!({"content": content});
            let required = schema["required"].as_array();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let required = required.is_some_and(|names| names.contains(&Value::from(name.clone())));
                let words = words::of(name);
                parameters.push(json!({
                    "name": name, "in": "query", "required": required, "schema": schema, "description": words,
                }));
            }
        }
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    operation
}

/// The document.
pub(crate) async fn json() -> Json<Value> {
    Json(document())
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font:13px/1.4 ui-monospace,monospace}summary{cursor:pointer;padding:.3rem 0}table{border-collapse:collapse}\
td,th{border:1px solid #8886;padding:.2rem .6rem;text-align:left;vertical-align:top}section{margin:0 0 1rem 1.5rem}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8cf}}";

/// The style of the page, beside it: its policy allows no style inside.
pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// The document for people. It needs no script and asks nobody for anything.
pub(crate) async fn page(State(state): State<ApiState>) -> Response {
    let document = document();
    let headers = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Html(html(&document, state.version))).into_response()
}

fn html(document: &Value, version: &str) -> String {
    let mut out = String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Bartizan API</title>\
         <link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><h1>Bartizan {}</h1><p>{}</p>\
         <p>For programs: <code>GET /api/v1/openapi.json</code>, with the token.</p>",
        escaped(version),
        escaped(text(&document["info"]["description"])),
    );
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let _ = write!(
                out,
                "<details id=\"{}\"><summary><code>{} /api/v1{}</code> {}</summary><section>",
                escaped(text(&operation["operationId"])),
                method.to_uppercase(),
                escaped(path),
                escaped(text(&operation["summary"])),
            );
            for content in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let (media, content) = content;
                let _ = write!(out, "<p>Question: <code>{}</code></p>", escaped(media));
                fields(&content["schema"], &mut out);
            }
            parameters(&operation["parameters"], &mut out);
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                for (media, content) in response["content"].as_object().into_iter().flatten() {
                    let schema = &content["schema"];
                    let (form, words) = (form(schema), text(&schema["description"]));
                    let _ = write!(
                        out,
                        "<p>Answer {status}: <code>{}</code> {}. {}</p>",
                        escaped(media),
                        escaped(&form),
                        escaped(words)
                    );
                }
            }
            out.push_str("</section></details>");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(out, "<details id=\"form-{name}\"><summary>{name}</summary><section>");
        fields(schema, &mut out);
        out.push_str("</section></details>");
    }
    out.push_str("</body></html>");
    out
}

/// The members of an object as a table.
fn fields(schema: &Value, out: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    out.push_str("<table>");
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        row(name, required.contains(&name.as_str()), member, text(&member["description"]), out);
    }
    out.push_str("</table>");
}

/// The same of what stands in the path and in the query.
fn parameters(parameters: &Value, out: &mut String) {
    out.push_str("<table>");
    for parameter in parameters.as_array().into_iter().flatten() {
        let required = parameter["required"].as_bool() == Some(true);
        let words = text(&parameter["description"]);
        row(text(&parameter["name"]), required, &parameter["schema"], words, out);
    }
    out.push_str("</table>");
}

fn row(name: &str, required: bool, schema: &Value, words: &str, out: &mut String) {
    let (name, need) = (escaped(name), if required { "" } else { "?" });
    let (form, words) = (escaped(&form(schema)), escaped(words));
    let _ = write!(out, "<tr><td><code>{name}{need}</code></td><td>{form}</td><td>{words}</td></tr>");
}

/// What a value looks like, in a word or two.
fn form(schema: &Value) -> String {
    if let Some(name) = text(&schema["$ref"]).strip_prefix("#/components/schemas/") {
        return name.to_owned();
    }
    if schema["items"].is_object() {
        return format!("list of {}", form(&schema["items"]));
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(text).collect::<Vec<_>>().join(" or ");
    }
    let options = ["oneOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let mut words: Vec<String> = options.map(form).collect();
    match &schema["type"] {
        Value::String(word) => words.push(word.clone()),
        Value::Array(several) => words.extend(several.iter().map(|word| text(word).to_owned())),
        _ => {}
    }
    words.retain(|word| word != "null");
    words.join(" or ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
