//! What a server keeps for people: views, groups; and what it is being asked.

use super::ask::{list, rows};
use crate::{
    args::{AskArgs, ConnectionArgs, QueriesCommand, RangeArgs, ViewsCommand},
    client::Client,
    columns::{Column, Look},
    connection::Connection,
    failure::{Failure, talk},
    render::{Format, Style},
    syntax,
};
use bartizan_model::Kind;
use serde_json::{Value, json};

/// Says plainly that a server does not know a path.
pub(super) fn too_old(failure: Failure, what: &str) -> Failure {
    match failure {
        Failure::NotFound(_) => {
            Failure::NotFound(format!("the server does not know `{what}`: it is older than this program"))
        }
        other => other,
    }
}

pub(super) fn columns(names: &[(&str, Look)]) -> Vec<Column> {
    names.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect()
}

/// Lists in one cell each, for tables and CSV.
pub(super) fn flat(mut items: Value, members: &[&str], format: Format) -> Value {
    if !matches!(format, Format::Table | Format::Csv) {
        return items;
    }
    for item in items.as_array_mut().into_iter().flatten() {
        for member in members {
            if let Some(many) = item[*member].as_array() {
                let text = |one: &Value| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
                let texts: Vec<_> = many.iter().map(text).collect();
                item[*member] = texts.join(" ").into();
            }
        }
    }
    items
}

pub(crate) async fn views(
    args: &ConnectionArgs,
    command: Option<ViewsCommand>,
    style: Style,
) -> Result<(), Failure> {
    if let Some(ViewsCommand::Save { filter, table, .. }) = &command {
        syntax::check_before_asking(kind(table), filter)?;
    }
    let client = Client::new(Connection::find(args)?)?;
    let all = async || client.get("/api/v1/views").await.map_err(|failure| too_old(failure, "views"));
    match command.unwrap_or(ViewsCommand::List { output: Format::Table }) {
        ViewsCommand::List { output } => {
            const COLUMNS: &[(&str, Look)] = &[
                ("name", Look::Text),
                ("table", Look::Text),
                ("filter", Look::Text),
                ("columns", Look::Text),
                ("since", Look::Text),
                ("shared", Look::Text),
            ];
            list(&flat(all().await?, &["columns"], output), columns(COLUMNS), output, style)
        }
        ViewsCommand::Save { name, filter, table, columns, since, shared } => {
            let kind = kind(&table);
            let mut question = json!({ "name": name, "table": table, "filter": filter });
            if !columns.is_empty() {
                let wanted = crate::columns::wanted(kind, &columns)?;
                question["columns"] = wanted.iter().map(|column| column.name.as_str()).collect();
            }
            if let Some(since) = since {
                let (now, zone) = crate::clock::now();
                crate::when::parse_time(&since, now, &zone)?;
                question["since"] = since.into();
            }
            if shared {
                question["shared"] = true.into();
            }
            client
                .post("/api/v1/views", &question)
                .await
                .map_err(|failure| syntax::with_text(too_old(failure, "views"), &filter))?;
            talk(&format!(
                "-- saved; `bartizan views run {}` asks it --",
                crate::escape::for_terminal(&name)
            ));
            Ok(())
        }
        ViewsCommand::Rm { name } => {
            client.post("/api/v1/views/delete", &json!({ "name": name })).await.map(drop)
        }
        ViewsCommand::Run { name, limit, output } => {
            let all = all().await?;
            let found = all.as_array().into_iter().flatten().find(|view| view["name"] == *name);
            let Some(view) = found else {
                return Err(Failure::NotFound(format!("no view is called {name:?}; see `bartizan views`")));
            };
            let text = |member: &str| view[member].as_str().unwrap_or_default().to_owned();
            let names = view["columns"].as_array().into_iter().flatten();
            let ask = AskArgs {
                filter: text("filter"),
                range: RangeArgs {
                    since: view["since"].as_str().filter(|since| !since.is_empty()).map(str::to_owned),
                    until: None,
                },
                limit,
                output,
                columns: names.filter_map(Value::as_str).map(str::to_owned).collect(),
                count: false,
                by: Vec::new(),
                distinct: None,
                spread: Vec::new(),
                top: 10,
                explain: false,
                after: None,
            };
            Box::pin(rows(args, kind(&text("table")), ask, style)).await
        }
    }
}

fn kind(table: &str) -> Kind {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == table).unwrap_or(Kind::Events)
}

pub(crate) async fn groups(args: &ConnectionArgs, output: Format, style: Style) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[("name", Look::Text), ("hosts", Look::Text)];
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.get("/api/v1/groups").await;
    let answer = answer.map_err(|failure| too_old(failure, "groups"))?;
    list(&flat(answer, &["hosts"], output), columns(COLUMNS), output, style)
}

pub(crate) async fn queries(
    args: &ConnectionArgs,
    command: Option<QueriesCommand>,
    style: Style,
) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    match command.unwrap_or(QueriesCommand::List { output: Format::Table }) {
        QueriesCommand::List { output } => {
            const COLUMNS: &[(&str, Look)] = &[
                ("id", Look::Text),
                ("path", Look::Text),
                ("took_ms", Look::Number),
                ("looked_at", Look::Number),
                ("bytes", Look::Number),
                ("filter", Look::Text),
            ];
            let answer = client.get("/api/v1/queries").await;
            let mut answer = answer.map_err(|failure| too_old(failure, "queries"))?;
            if matches!(output, Format::Table | Format::Csv) {
                for item in answer.as_array_mut().into_iter().flatten() {
                    item["filter"] = item["question"]["filter"].take();
                    for member in ["took_ms", "looked_at", "bytes"] {
                        item[member] = item["stats"][member].take();
                    }
                }
            }
            list(&answer, columns(COLUMNS), output, style)
        }
        QueriesCommand::Cancel { id } => {
            client.post("/api/v1/queries/cancel", &json!({ "id": id })).await.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_one_cell_for_people_and_lists_for_programs() {
        let items = json!([{ "hosts": ["a", "b"] }, { "hosts": null }]);
        assert_eq!(flat(items.clone(), &["hosts"], Format::Json), items);
        assert_eq!(flat(items, &["hosts"], Format::Table), json!([{ "hosts": "a b" }, { "hosts": null }]));
    }
}
