//! What layouts of `events` cost: one unit of the fleet's rows in several orders, each column in several encodings.
//!
//! The size of a column depends on the order of the rows and on its own encoding, and on nothing else; so each column
//! is written alone, to memory, and the sizes are added. Indexes, filters and the footer are not in these sizes. The
//! tables that it prints are those of `docs/adr/0005-layout.md`.

mod column;
mod order;
mod rows;

use crate::figure::{Figure, Goal};
use crate::fleet::{Batching, Plan};
use anyhow::Result;
use column::{Coding, Written, write};
use order::order;
use rows::Rows;
use std::fmt::Write as _;
use std::time::Duration;

/// Rows of the unit.
const UNIT: usize = 2 << 20;
/// The layout that the lake has, by which the others are measured.
const CHOSEN: &[&str] = &["src", "host", "dport", "time"];
const ORDERS: &[&[&str]] = &[
    &["time"],
    &["host", "time"],
    &["host", "src", "dport", "time"],
    &["dport", "src", "time"],
    &["src", "dport", "time"],
    &["src", "dport", "host", "time"],
    CHOSEN,
];
/// A day of 20 million events.
fn plan() -> Plan {
    Plan::of(20e6)
}

/// What no other store has: which batch a row came in, and when.
const BOOKKEEPING: &[&str] = &["received", "stream", "seq", "row"];

/// Prints the tables; `figure` gets the sums of the chosen layout.
pub(crate) fn run(say: &mut dyn FnMut(&str), figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let base = Coding { level: 3, group: 1 << 20, page: 16_384 };
    for (name, batching) in [("500 rows", Batching::bulk(plan())), ("100 ms", Batching::LIVE)] {
        let rows = Rows::of_fleet(plan(), UNIT, batching);
        say(&format!("\n## {} rows, batches of {name}, zstd 3\n", rows.len()));
        let mut table = String::new();
        for keys in ORDERS {
            let sizes = sizes(&rows, keys, base)?;
            let (all, ours) = sums(&sizes);
            writeln!(table, "| {} | {:.2} | {:.2} | {:.2} |", keys.join(", "), all - ours, ours, all)?;
            if *keys == CHOSEN {
                figure(Figure::new(
                    &format!("layout, batches of {name}"),
                    all,
                    "bytes/event",
                    Goal::Under(11.1),
                ));
                say(&columns(&sizes));
            }
        }
        say(&format!("| order | events | bookkeeping | all |\n|---|---|---|---|\n{table}"));
    }
    let rows = Rows::of_fleet(plan(), UNIT, Batching::bulk(plan()));
    say("\n## Of the chosen order: level, row group, page, unit\n");
    say("| zstd | row group | page | unit | all | seconds |\n|---|---|---|---|---|---|");
    let mut line = |rows: &Rows, coding: Coding| -> Result<()> {
        let sizes = sizes(rows, CHOSEN, coding)?;
        let seconds: Duration = sizes.iter().map(|(_, best, _)| best.took).sum();
        let Coding { level, group, page } = coding;
        let (all, unit) = (sums(&sizes).0, rows.len());
        say(&format!("| {level} | {group} | {page} | {unit} | {all:.2} | {:.1} |", seconds.as_secs_f64()));
        Ok(())
    };
    for level in [1, 3, 6, 9, 15] {
        line(&rows, Coding { level, ..base })?;
    }
    for group in [1 << 18, 1 << 21] {
        line(&rows, Coding { group, ..base })?;
    }
    for page in [4096, 65_536] {
        line(&rows, Coding { page, ..base })?;
    }
    for unit in [1 << 18, 1 << 20] {
        line(&rows.first(unit), base)?;
    }
    say("\n## Types of addresses, chosen order, zstd 3\n");
    for (name, bytes) in column::addresses(&rows, &order(&rows, CHOSEN), base)? {
        say(&format!("- {name}: {bytes:.3}"));
    }
    Ok(())
}

/// A column's name, its best encoding, and what the others cost.
type Sized = (String, Written, Vec<Written>);

fn sizes(rows: &Rows, keys: &[&str], coding: Coding) -> Result<Vec<Sized>> {
    let order = order(rows, keys);
    let mut out = Vec::new();
    for (name, values) in rows.columns() {
        let mut written = write(name, &arrow_select::take::take(values, &order, None)?, coding)?;
        written.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
        let best = written.remove(0);
        out.push((name.to_owned(), best, written));
    }
    Ok(out)
}

/// Bytes of an event, of all columns and of the bookkeeping.
fn sums(sizes: &[Sized]) -> (f64, f64) {
    let sum = |of: &dyn Fn(&str) -> bool| sizes.iter().filter(|s| of(&s.0)).map(|s| s.1.bytes).sum::<f64>();
    (sum(&|_| true), sum(&|name| BOOKKEEPING.contains(&name)))
}

fn columns(sizes: &[Sized]) -> String {
    let mut out = String::from("| column | bytes | best | others |\n|---|---|---|---|\n");
    for (name, best, others) in sizes.iter().filter(|s| s.1.bytes >= 0.01) {
        let others: Vec<String> = others.iter().map(|w| format!("{} {:.2}", w.encoding, w.bytes)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {name} | {:.2} | {} | {} |", best.bytes, best.encoding, others.join(", "));
    }
    out
}
