//! The ten questions as our engine is asked them, and answers in texts, as the peers' scripts give theirs.

use crate::fleet::{END, HOST};
use anyhow::{Context as _, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bartizan_filter::{Context, Filter};
use bartizan_model::{Kind, Micros};
use bartizan_query::{Bucket, Engine, Histogram, Search, Spread, Window, render};

/// In their order; 7 is two questions.
pub(super) const QUESTIONS: [(&str, &str); 11] = [
    ("Q1", "per-minute histogram of 24 h"),
    ("Q2", "top 20 sources"),
    ("Q3", "top 20 ports of a prefix in an hour"),
    ("Q4", "needle: newest 100 of one address"),
    ("Q5", "network and port, newest 100"),
    ("Q6", "by host and prefix"),
    ("Q7a", "distinct sources per port, top 50"),
    ("Q7b", "sources on > 100 ports and > 5 hosts"),
    ("Q8", "newest 100 of a host without port 443"),
    ("Q9", "text in the prefix, by host"),
    ("Q10", "top countries"),
];

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = Micros::DAY;
/// More groups than there are.
const ALL: usize = 1_000_000;

pub(super) type Answer = Vec<Vec<String>>;

/// Asks one of them.
pub(super) async fn ask(engine: &Engine, name: &str) -> Result<Vec<RecordBatch>> {
    let filter = |text: &str| Filter::parse(text, &Context::default()).context("a question's filter");
    let last = |micros: i64| Window { since: Some(Micros(END.0 - micros)), until: Some(END) };
    let all = filter("")?;
    let newest = async |text: &str| -> Result<Vec<RecordBatch>> {
        let filter = filter(text)?;
        let search = Search { limit: Some(100), ..Search::new(Kind::Events, &filter) };
        Ok(engine.search(search).await?.collect().await?)
    };
    let top = async |filter: &Filter, window: Window, by: &[&str], n: usize| -> Result<Vec<RecordBatch>> {
        Ok(engine.top(Kind::Events, filter, window, by, n).await?.collect().await?)
    };
    match name {
        "Q1" => {
            let histogram = Histogram {
                kind: Kind::Events,
                filter: &all,
                window: last(DAY),
                bucket: Bucket::new(60_000_000, Micros(0)),
                by: Vec::new(),
                limit: None,
            };
            Ok(engine.histogram(histogram).await?.collect().await?)
        }
        "Q2" => top(&all, Window::ALL, &["src"], 20).await,
        "Q3" => top(&filter(r#"prefix:"DROP-IN ""#)?, last(HOUR), &["dport"], 20).await,
        "Q4" => newest("src:192.0.2.77").await,
        "Q5" => newest("src:203.0.113.0/24 dport:22").await,
        "Q6" => top(&all, Window::ALL, &["host", "prefix"], ALL).await,
        "Q7a" => {
            let answer = engine.distinct(Kind::Events, &all, last(DAY), "dport", "src", 50).await?;
            Ok(answer.collect().await?)
        }
        "Q7b" => {
            let wide = Spread { ports: 100, hosts: 5 };
            Ok(engine.spread(&all, last(DAY), wide, 100).await?.collect().await?)
        }
        "Q8" => newest(&format!("host:{HOST} -dport:443")).await,
        "Q9" => top(&filter("prefix:*SCAN*")?, Window::ALL, &["host"], 20).await,
        "Q10" => top(&all, Window::ALL, &["src_country"], 20).await,
        other => bail!("there is no question {other}"),
    }
}

/// An answer as the peers give it.
pub(super) fn answer(name: &str, batches: &[RecordBatch]) -> Result<Answer> {
    let columns: &[&str] = match name {
        "Q1" => &["time", "rows"],
        "Q2" => &["src", "rows"],
        "Q3" => &["dport", "rows"],
        "Q4" | "Q5" | "Q8" => &["time", "host", "src", "dst", "sport", "dport"],
        "Q6" => &["host", "prefix", "rows"],
        "Q7a" => &["dport", "distinct"],
        "Q7b" => &["src", "ports", "hosts", "rows"],
        "Q9" => &["host", "rows"],
        "Q10" => &["src_country", "rows"],
        other => bail!("there is no question {other}"),
    };
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = columns
            .iter()
            .map(|name| batch.column_by_name(name).with_context(|| format!("no column {name}")))
            .collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| cell(column.as_ref(), row)).collect::<Result<_>>()?);
        }
    }
    Ok(rows)
}

fn cell(column: &dyn Array, row: usize) -> Result<String> {
    if column.is_null(row) {
        return Ok(String::new());
    }
    Ok(match column.data_type() {
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::FixedSizeBinary(_) => render::addr_text(column.as_fixed_size_binary().value(row)),
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        other => bail!("a cell of {other}"),
    })
}

/// Whether two answers say the same. Rows that are equal in what they are ordered by may come in any order, and where
/// such rows are cut off at the end, either may have others of them.
pub(super) fn same(name: &str, ours: &Answer, theirs: &Answer) -> bool {
    // by what it is ordered: the time, or the number
    let place = match name {
        "Q1" | "Q4" | "Q5" | "Q8" => 0,
        "Q7b" | "Q2" | "Q3" | "Q7a" | "Q9" | "Q10" => 1,
        _ => 2,
    };
    let key = |row: &Vec<String>| row.get(place).cloned().unwrap_or_default();
    let sorted = |answer: &Answer, last: &Option<String>| -> Answer {
        let mut rows: Answer = answer.iter().filter(|row| Some(key(row)) != *last).cloned().collect();
        rows.sort();
        rows
    };
    let last = ours.last().map(key);
    ours.len() == theirs.len()
        && ours.iter().map(key).eq(theirs.iter().map(key))
        && (sorted(ours, &last) == sorted(theirs, &last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(of: &[(&str, &str)]) -> Answer {
        of.iter().map(|(a, b)| vec![(*a).to_owned(), (*b).to_owned()]).collect()
    }

    #[test]
    fn answers_are_the_same_up_to_ties() {
        let ours = rows(&[("a", "3"), ("b", "2"), ("c", "2"), ("d", "1")]);
        assert!(same("Q2", &ours, &rows(&[("a", "3"), ("c", "2"), ("b", "2"), ("e", "1")])));
        assert!(!same("Q2", &ours, &rows(&[("a", "3"), ("c", "2"), ("x", "2"), ("d", "1")])));
        assert!(!same("Q2", &ours, &rows(&[("a", "3"), ("b", "2"), ("c", "2"), ("d", "0")])));
        assert!(!same("Q2", &ours, &ours[..3].to_vec()));
    }
}
