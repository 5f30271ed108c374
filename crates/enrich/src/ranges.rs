//! The table in memory: where each stretch of addresses with one record begins.
//!
//! Addresses are numbers in the order of `bartizan_model::addr_from_ip`. IPv4 is apart: 8 bytes a stretch, and 65,537
//! places to start from, by the first 16 bits, so that a look-up touches a few lines of memory. IPv6 takes 20 bytes a
//! stretch and a binary search.
//!
//! Where ranges overlap, the one that begins last counts; of those that begin together the shortest; of equal ones the
//! last that was said. So a network inside another goes before it.

use crate::{EnrichError, MAX_RANGES, Record};
use std::collections::HashMap;

const V4_FIRST: u128 = 0xffff_0000_0000;
const V4_LAST: u128 = 0xffff_ffff_ffff;

/// A range of addresses and what is said of it. IPv4 has both ends in `::ffff:0:0/96`; any other range holds IPv6 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest.
    pub first: u128,
    /// The largest.
    pub last: u128,
    /// What is said.
    pub record: Record,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    v4: Stretches<u32>,
    /// How many stretches of IPv4 begin before each possible value of the first 16 bits.
    jump: Vec<u32>,
    v6: Stretches<u128>,
    records: Vec<Record>,
}

/// Where stretches begin, in order, and the record of each. The first begins at 0.
#[derive(Clone, Debug, Default)]
struct Stretches<T> {
    starts: Vec<T>,
    records: Vec<u32>,
}

impl Ranges {
    /// The table of ranges, in any order.
    ///
    /// # Errors
    /// [`EnrichError::TooMany`], and [`EnrichError::Empty`] if nothing is said of any address.
    pub fn new(spans: Vec<Span>) -> Result<Self, EnrichError> {
        if spans.len() > MAX_RANGES {
            return Err(EnrichError::TooMany);
        }
        // The first record is the one that knows nothing.
        let mut records = Interned { ids: HashMap::new(), all: Vec::new() };
        records.id(Record::default());
        let (v4, v6): (Vec<_>, Vec<_>) = spans
            .into_iter()
            .filter(|span| span.first <= span.last)
            .map(|span| (span.first, span.last, records.id(span.record)))
            .partition(|(first, last, _)| *first >= V4_FIRST && *last <= V4_LAST);
        if records.all.len() < 2 {
            return Err(EnrichError::Empty);
        }
        let mut v4_stretches = Stretches { starts: Vec::new(), records: Vec::new() };
        for (start, record) in stretches(v4, V4_FIRST, V4_LAST) {
            v4_stretches.starts.push(u32::try_from(start - V4_FIRST).unwrap_or(u32::MAX));
            v4_stretches.records.push(record);
        }
        let (starts, records_v6) = stretches(v6, 0, u128::MAX).into_iter().unzip();
        Ok(Self {
            jump: jumps(&v4_stretches.starts),
            v4: v4_stretches,
            v6: Stretches { starts, records: records_v6 },
            records: records.all,
        })
    }

    /// What is said of an address.
    #[must_use]
    pub fn of(&self, addr: [u8; 16]) -> Record {
        let number = u128::from_be_bytes(addr);
        let record = match u32::try_from(number.wrapping_sub(V4_FIRST)) {
            Ok(v4) => self.of_v4(v4),
            Err(_) => {
                let after = self.v6.starts.partition_point(|start| *start <= number);
                self.v6.records.get(after.wrapping_sub(1))
            }
        };
        record.and_then(|record| self.records.get(*record as usize)).copied().unwrap_or_default()
    }

    fn of_v4(&self, addr: u32) -> Option<&u32> {
        let high = (addr >> 16) as usize;
        let (from, to) = (*self.jump.get(high)? as usize, *self.jump.get(high + 1)? as usize);
        let within = self.v4.starts.get(from..to)?.partition_point(|start| *start <= addr);
        self.v4.records.get((from + within).wrapping_sub(1))
    }

    /// How many stretches there are of which something is said.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.records.iter().chain(&self.v6.records).filter(|record| **record != 0).count()
    }

    /// Whether nothing is said of any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every different thing that is said.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().skip(1)
    }
}

/// Records by number.
struct Interned {
    ids: HashMap<Record, u32>,
    all: Vec<Record>,
}

impl Interned {
    fn id(&mut self, record: Record) -> u32 {
        *self.ids.entry(record).or_insert_with(|| {
            self.all.push(record);
            // there are no more records than ranges
            u32::try_from(self.all.len() - 1).unwrap_or(0)
        })
    }
}

/// What counts from which address on, between two bounds: neighbours that say the same are one.
fn stretches(mut spans: Vec<(u128, u128, u32)>, from: u128, to: u128) -> Vec<(u128, u32)> {
    // Stable, so that of equal ranges the last one said comes last, and ends on top.
    spans.sort_by_key(|span| (span.0, std::cmp::Reverse(span.1)));
    let mut out = Out(vec![(from, 0)]);
    // Ranges that began, the one that counts last; those below may have ended already.
    let mut open: Vec<(u128, u32)> = Vec::new();
    for (first, last, record) in spans {
        close(&mut open, first.checked_sub(1), &mut out, to);
        out.set(first, record);
        open.push((last, record));
    }
    close(&mut open, Some(to), &mut out, to);
    out.0
}

/// Ends ranges that end at `upto` or before.
fn close(open: &mut Vec<(u128, u32)>, upto: Option<u128>, out: &mut Out, to: u128) {
    let Some(upto) = upto else { return };
    while let Some((last, _)) = open.pop_if(|(last, _)| *last <= upto) {
        // what lies below and reaches further goes on; what has ended meanwhile says nothing any more
        while open.pop_if(|(below, _)| *below <= last).is_some() {}
        if last < to {
            out.set(last + 1, open.last().map_or(0, |(_, record)| *record));
        }
    }
}

struct Out(Vec<(u128, u32)>);

impl Out {
    /// From an address on, which is not before any other, this record counts.
    fn set(&mut self, start: u128, record: u32) {
        if let Some(last) = self.0.last_mut()
            && last.0 == start
        {
            last.1 = record;
            // it may now say the same as the one before
            if let [.., before, last] = self.0.as_slice()
                && before.1 == last.1
            {
                self.0.pop();
            }
        } else if self.0.last().is_none_or(|last| last.1 != record) {
            self.0.push((start, record));
        }
    }
}

fn jumps(starts: &[u32]) -> Vec<u32> {
    let mut jump = Vec::with_capacity((1 << 16) + 1);
    let mut at = 0;
    for high in 0..=(1_u64 << 16) {
        while starts.get(at).is_some_and(|start| u64::from(*start) < high << 16) {
            at += 1;
        }
        jump.push(u32::try_from(at).unwrap_or(u32::MAX));
    }
    jump
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Country;
    use bartizan_model::addr_from_ip;
    use proptest::prelude::*;

    fn number(text: &str) -> u128 {
        u128::from_be_bytes(addr_from_ip(text.parse().unwrap()))
    }

    fn span(first: &str, last: &str, asn: u32) -> Span {
        let record = Record { asn: Some(asn), country: Country::parse("nl") };
        Span { first: number(first), last: number(last), record }
    }

    fn asn(ranges: &Ranges, addr: &str) -> Option<u32> {
        ranges.of(number(addr).to_be_bytes()).asn
    }

    #[test]
    fn a_network_inside_another_goes_before_it() {
        let ranges = Ranges::new(vec![
            span("10.0.0.0", "10.0.0.255", 2),
            span("0.0.0.0", "255.255.255.255", 1),
            span("10.0.0.7", "10.0.0.7", 3),
            span("2001:db8::", "2001:db8::ffff", 4),
            span("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5),
        ])
        .unwrap();
        for (addr, expected) in [
            ("0.0.0.0", 1),
            ("9.255.255.255", 1),
            ("10.0.0.6", 2),
            ("10.0.0.7", 3),
            ("10.0.0.8", 2),
            ("10.0.1.0", 1),
            ("255.255.255.255", 1),
            ("2001:db8::1", 4),
            ("2001:db8::1:0", 5),
            ("::", 5),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5),
        ] {
            assert_eq!(asn(&ranges, addr), Some(expected), "{addr}");
        }
        assert_eq!(ranges.len(), 5 + 3);
    }

    #[test]
    fn a_range_of_ipv6_says_nothing_of_ipv4() {
        let ranges = Ranges::new(vec![span("::", "2001::", 5)]).unwrap();
        assert_eq!(asn(&ranges, "::5"), Some(5));
        assert_eq!(asn(&ranges, "1.2.3.4"), None);
        assert!(matches!(Ranges::new(Vec::new()), Err(EnrichError::Empty)));
    }

    /// Small numbers, so that they meet.
    fn spans(base: u128) -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0_u128..40, 0_u128..12, 1_u32..4), 0..14).prop_map(move |all| {
            let span = |(first, length, asn)| Span {
                first: base + first,
                last: base + first + length,
                record: Record { country: None, asn: Some(asn) },
            };
            all.into_iter().map(span).collect()
        })
    }

    proptest! {
        #[test]
        fn the_table_says_what_the_list_says(
            v4 in spans(V4_FIRST + 0x1_fff0), v6 in spans(7), top in spans(u128::MAX - 51),
        ) {
            let all: Vec<Span> = [v4, v6, top].concat();
            let Ok(ranges) = Ranges::new(all.clone()) else {
                prop_assert!(all.is_empty());
                return Ok(());
            };
            for base in [V4_FIRST + 0x1_ffe8, 0, u128::MAX - 63] {
                for addr in base..=base + 63 {
                    let expected = all
                        .iter()
                        .enumerate()
                        .filter(|(_, s)| s.first <= addr && addr <= s.last)
                        .max_by_key(|(i, s)| (s.first, std::cmp::Reverse(s.last), *i))
                        .map(|(_, s)| s.record);
                    prop_assert_eq!(ranges.of(addr.to_be_bytes()), expected.unwrap_or_default(), "{:x}", addr);
                }
            }
        }
    }
}
