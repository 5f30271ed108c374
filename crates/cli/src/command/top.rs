//! `top`: the most frequent, alone or beside the time before.

use super::ask::{add_range, groups, list, question, rows};
use crate::{
    args::{AskArgs, ConnectionArgs, TopArgs},
    client::Client,
    clock, columns,
    connection::Connection,
    failure::Failure,
    render::Style,
    syntax,
};
use bartizan_model::Kind;
use serde_json::Value;

/// What is compared when nobody says since when.
const USUAL: &str = "1h";

pub(crate) async fn top(args: &ConnectionArgs, top: TopArgs, style: Style) -> Result<(), Failure> {
    let by: Vec<String> = top.by.split(',').map(str::to_owned).collect();
    if !top.compare {
        let ask = AskArgs {
            filter: top.filter,
            range: top.range,
            limit: 0,
            output: top.output,
            columns: Vec::new(),
            count: false,
            by,
            distinct: None,
            spread: Vec::new(),
            top: top.limit,
            explain: false,
            after: None,
        };
        return Box::pin(rows(args, Kind::Events, ask, style)).await;
    }
    const KIND: Kind = Kind::Events;
    syntax::check_before_asking(KIND, &top.filter)?;
    let by = columns::wanted(KIND, &by)?;
    let mut range = top.range;
    range.since.get_or_insert_with(|| USUAL.to_owned());
    let mut question = question(KIND, &top.filter);
    add_range(&mut question, &range)?;
    if range.until.is_none() {
        question["until"] = clock::now().0.to_string().into();
    }
    question["by"] = by.iter().map(|c| c.name.as_str()).collect();
    question["limit"] = top.limit.into();
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.post("/api/v1/compare", &question).await;
    let answer = answer
        .map_err(|failure| super::saved::too_old(failure, "compare"))
        .map_err(|failure| syntax::with_text(failure, &top.filter))?;
    match answer["columns"].is_array() {
        true => groups(&answer, KIND, top.output, style),
        false => list(&answer["rows"], shown(by, &answer["rows"]), top.output, style),
    }
}

/// The columns that are grouped by, then whatever numbers the rows have.
fn shown(by: Vec<columns::Column>, rows: &Value) -> Vec<columns::Column> {
    let mut columns = by;
    for name in rows[0].as_object().into_iter().flat_map(|row| row.keys()) {
        if !columns.iter().any(|column| column.name == *name) {
            columns.push(columns::Column { name: name.clone(), look: columns::Look::Number });
        }
    }
    columns
}
