//! Which columns are shown, and what their names may be.

use crate::failure::Failure;
use bartizan_model::Kind;
use bartizan_schema::{ColumnKind, FieldKind, table_columns};

/// The columns of a table when nobody says which.
pub(crate) const fn shown(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Events => &[
            "time",
            "host",
            "action",
            "prefix",
            "in_if",
            "proto",
            "src",
            "sport",
            "dst",
            "dport",
            "tcp_flags",
            "packets",
            "id",
        ],
        Kind::Losses => &["time", "host", "kind", "stage", "reason", "count", "detail"],
        Kind::Flows => &[
            "time",
            "host",
            "event",
            "proto",
            "src",
            "sport",
            "dst",
            "dport",
            "nat",
            "reply_src",
            "reply_sport",
            "packets",
            "bytes",
            "reply_packets",
            "reply_bytes",
            "state",
        ],
        Kind::Counters => &["time", "host", "netns", "kind", "object", "packets", "bytes", "rule"],
        Kind::Lines => &["time", "host", "sender", "severity", "program", "text"],
        Kind::Rulesets => &["time", "host", "netns", "generation", "process", "pid", "form"],
    }
}

/// One column of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) look: Look,
}

/// How the values of a column are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Time,
    /// Written by whoever sent the packet or the rule: guarded in spreadsheets.
    Text,
    Address,
    Number,
}

impl Column {
    /// A column of a table of the schema; text if there is none of that name.
    pub(crate) fn of(kind: Kind, name: &str) -> Self {
        let look = match table_columns(kind).iter().find(|c| c.name == name).map(|c| c.kind) {
            Some(ColumnKind::Time) => Look::Time,
            Some(ColumnKind::Addr) => Look::Address,
            // Protocols and flags are numbers in the table and words in the output.
            Some(ColumnKind::I16 | ColumnKind::I32 | ColumnKind::I64)
                if !matches!(name, "proto" | "tcp_flags" | "inner_proto") =>
            {
                Look::Number
            }
            None if matches!(name, "rows" | "distinct" | "ports" | "hosts") => Look::Number,
            _ => Look::Text,
        };
        Self { name: name.into(), look }
    }
}

/// Every column of a table.
pub(crate) fn all(kind: Kind) -> Vec<Column> {
    table_columns(kind).iter().map(|c| Column::of(kind, c.name)).collect()
}

/// The columns of these names.
pub(crate) fn named(kind: Kind, names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column::of(kind, name)).collect()
}

/// The columns of a table that a person named. The name of a filter field that covers one column is good too.
pub(crate) fn wanted(kind: Kind, names: &[String]) -> Result<Vec<Column>, Failure> {
    names.iter().map(|name| column(kind, name).map(|name| Column::of(kind, name))).collect()
}

fn column(kind: Kind, name: &str) -> Result<&'static str, Failure> {
    let word = name.trim().to_ascii_lowercase();
    let columns = || table_columns(kind).iter().map(|c| c.name).chain(std::iter::once("id"));
    if let Some(column) = columns().find(|column| *column == word) {
        return Ok(column);
    }
    if let Some(field) = bartizan_schema::field(&word).filter(|field| field.kind != FieldKind::Group)
        && let Some(column) = field.columns_in(kind).next()
        && field.columns_in(kind).nth(1).is_none()
    {
        return Ok(column.name);
    }
    let nearest = columns()
        .map(|column| (strsim::damerau_levenshtein(&word, column), column))
        .filter(|(distance, _)| *distance <= (word.len() / 3).max(1))
        .min();
    Err(Failure::Usage(match nearest {
        Some((_, nearest)) => format!("{kind} have no column {name:?} (did you mean {nearest:?}?)"),
        None => {
            let names: Vec<_> = columns().collect();
            format!("{kind} have no column {name:?}; there are: {}", names.join(", "))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_columns_exist() {
        for kind in Kind::ALL {
            for name in shown(kind) {
                assert!(*name == "id" || table_columns(kind).iter().any(|c| c.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn names_of_columns_and_fields() {
        let names =
            |list: &[&str]| wanted(Kind::Events, &list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let good: Vec<_> =
            names(&["src", "DPORT", "in", "flags"]).unwrap().into_iter().map(|c| c.name).collect();
        assert_eq!(good, ["src", "dport", "in_if", "tcp_flags"]);
        let Err(Failure::Usage(text)) = names(&["dprot"]) else { panic!("accepted") };
        assert_eq!(text, "events have no column \"dprot\" (did you mean \"dport\"?)");
        assert!(names(&["ip"]).is_err(), "covers two columns");
        assert!(names(&["group"]).is_err(), "is no name of the column of hosts");
        assert!(names(&["zzzzzzzzzzz"]).is_err());
    }
}
