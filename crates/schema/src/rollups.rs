//! Tables of counts that are derived from `events`, so that a question about all of a year reads thousands of rows
//! and not billions.
//!
//! Each row is one combination of its dimensions with what the events of that combination sum up to. A dimension
//! has the name, type and meaning of the column of `events`; `time` is the first moment of the bucket.

use crate::column::{Column, ColumnKind::*, Origin::*, may, must};
use bartizan_model::Micros;

/// One derived table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rollup {
    /// By minute and action, with a sketch of the sources: small enough to be read whole.
    Activity1m,
    /// By minute, host, action, rule, prefix and protocol.
    Events1m,
    /// By hour, host, action, rule and prefix, with the latest time.
    Activity1h,
    /// By hour, host, action, rule, prefix, protocol and destination port.
    Events1h,
    /// By hour, action, country and autonomous system of the source.
    Origins1h,
    /// By the span of one data file, action and source, the sources with most packets first.
    Sources,
}

impl Rollup {
    /// All of them, in the order of [`Rollup::index`].
    pub const ALL: [Self; 6] =
        [Self::Activity1m, Self::Events1m, Self::Activity1h, Self::Events1h, Self::Origins1h, Self::Sources];

    /// Its place in [`Rollup::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The table's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity1m => "activity_1m",
            Self::Events1m => "events_1m",
            Self::Activity1h => "activity_1h",
            Self::Events1h => "events_1h",
            Self::Origins1h => "origins_1h",
            Self::Sources => "sources",
        }
    }

    /// Microseconds of one bucket; nothing where a bucket is the span of a data file.
    #[must_use]
    pub const fn bucket(self) -> Option<i64> {
        match self {
            Self::Activity1m | Self::Events1m => Some(60_000_000),
            Self::Activity1h | Self::Events1h | Self::Origins1h => Some(Micros::DAY / 24),
            Self::Sources => None,
        }
    }

    /// The columns by which it is grouped, beside `time`.
    pub fn dimensions(self) -> impl Iterator<Item = &'static Column> {
        self.columns().iter().filter(|c| c.name != "time" && !MEASURES.contains(&c.name))
    }

    /// Its columns, in the order of its files.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Activity1m => ACTIVITY_1M,
            Self::Events1m => EVENTS_1M,
            Self::Activity1h => ACTIVITY_1H,
            Self::Events1h => EVENTS_1H,
            Self::Origins1h => ORIGINS_1H,
            Self::Sources => SOURCES,
        }
    }
}

/// What is summed, or otherwise known of a group.
const MEASURES: &[&str] = &["rows", "packets", "bytes", "sketch", "last"];

const TIME: Column = must("time", Time, Server, "the first moment of the bucket");
const HOST: Column = must("host", Text, Server, "the host's name");
const ACTION: Column = must("action", Text, Server, "drop, reject, accept, or log when nobody can tell");
const RULE: Column = may("rule", Text, Server, "the rule that logged");
const PREFIX: Column = may("prefix", Text, Server, "the log prefix");
const PROTO: Column = may("proto", I16, Server, "IP protocol number (IANA)");
const DPORT: Column = may("dport", I32, Server, "destination port");
const ROWS: Column = must("rows", I64, Server, "events");
const PACKETS: Column = must("packets", I64, Server, "packets that they stand for");
const BYTES: Column = must("bytes", I64, Server, "sum of their `length`");
const SKETCH: Column = may(
    "sketch",
    Bytes,
    Server,
    "HyperLogLog of their sources (Apache DataSketches, of the 16 bytes); absent where it would cost too much",
);

const LAST: Column = must("last", Time, Server, "the latest time among them");

const ACTIVITY_1M: &[Column] = &[TIME, ACTION, ROWS, PACKETS, BYTES, SKETCH];
const EVENTS_1M: &[Column] = &[TIME, HOST, ACTION, RULE, PREFIX, PROTO, ROWS, PACKETS, BYTES];
const ACTIVITY_1H: &[Column] = &[TIME, HOST, ACTION, RULE, PREFIX, ROWS, PACKETS, BYTES, LAST];
const EVENTS_1H: &[Column] = &[TIME, HOST, ACTION, RULE, PREFIX, PROTO, DPORT, ROWS, PACKETS, BYTES];
const ORIGINS_1H: &[Column] = &[
    TIME,
    ACTION,
    may("src_country", Text, Server, "country of src (ISO 3166-1 alpha-2)"),
    may("src_asn", I64, Server, "autonomous system of src"),
    ROWS,
    PACKETS,
    BYTES,
];
const SOURCES: &[Column] = &[
    must("time", Time, Server, "the earliest time of the data file"),
    ACTION,
    may("src", Addr, Server, "source address"),
    ROWS,
    PACKETS,
    BYTES,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_columns_of_events() {
        for rollup in Rollup::ALL {
            assert_eq!(Rollup::ALL[rollup.index()], rollup);
            for dimension in rollup.dimensions() {
                let same = crate::EVENTS.iter().find(|c| c.name == dimension.name);
                assert_eq!(same.map(|c| c.kind), Some(dimension.kind), "{rollup:?} {}", dimension.name);
            }
        }
    }
}
