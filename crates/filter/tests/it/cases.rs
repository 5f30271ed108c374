//! The table of filters and what they match, `cases.txt`. The tests of `query` include this file.

use bartizan_filter::{AddrRange, Context};
use std::collections::BTreeMap;

const TABLE: &str = include_str!("cases.txt");

/// The table.
pub(crate) struct Cases {
    /// Rows by their letter: columns and what they hold, as text.
    pub(crate) rows: Vec<(char, BTreeMap<&'static str, &'static str>)>,
    /// What the filters may name.
    pub(crate) context: Context,
    /// A filter and the letters of the rows that it finds.
    pub(crate) filters: Vec<(&'static str, String)>,
}

/// Reads the table.
pub(crate) fn cases() -> Cases {
    let mut cases = Cases { rows: Vec::new(), context: Context::default(), filters: Vec::new() };
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        // a filter may be `row`, a declaration never has an arrow
        if let Some((filter, found)) = line.split_once("=>") {
            let found = found.chars().filter(|c| !c.is_whitespace()).collect();
            cases.filters.push((filter.trim(), found));
        } else if let Some(row) = line.strip_prefix("row ") {
            let mut pieces = row.split(" | ");
            let name = pieces.next().and_then(|name| name.chars().next()).unwrap();
            cases.rows.push((name, pieces.map(|piece| piece.split_once('=').unwrap()).collect()));
        } else {
            cases.context = declared(cases.context, line);
        }
    }
    cases
}

fn declared(context: Context, line: &str) -> Context {
    let mut words = line.split(' ');
    let (what, rest) = (words.next().unwrap(), words.collect::<Vec<_>>());
    let ranges = |words: &[&str]| words.iter().map(|word| AddrRange::parse(word).unwrap()).collect();
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match what {
        "set" => context.with_set(rest[0], ranges(&rest[1..])),
        "fleet" => context.with_fleet(ranges(&rest)),
        "group" => context.with_group(rest[0], &texts(&rest[1..])),
        "service" => context.with_services(&rest.join(" ")),
        other => panic!("{other:?} is no declaration"),
    }
}
