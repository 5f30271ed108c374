//! The matcher against an evaluator that goes row by row and shares no code with it.

use crate::{check, random};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, StringViewArray, types::Int32Type,
};
use arrow_schema::{Field, Schema};
use bartizan_filter::{AddrItem, Class, Context, Expr, Filter, Matcher, Term, TextPattern, Values};
use bartizan_model::{addr_from_ip, addr_to_ip};
use bartizan_schema::{ColumnKind, EVENTS};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

#[derive(Clone, Debug)]
enum Cell {
    Ip(IpAddr),
    Number(i64),
    Text(String),
}

type Row = BTreeMap<&'static str, Cell>;

fn cell(name: &'static str, kind: ColumnKind) -> BoxedStrategy<Option<Cell>> {
    let value: BoxedStrategy<Cell> = match (name, kind) {
        (_, ColumnKind::Addr) => random::ip().prop_map(Cell::Ip).boxed(),
        ("action", _) => {
            select(vec!["drop", "reject", "accept", "log"]).prop_map(|t| Cell::Text(t.to_owned())).boxed()
        }
        (_, ColumnKind::Text) => random::word().prop_map(Cell::Text).boxed(),
        (_, ColumnKind::I16) => prop_oneof![0..=30_i64, 0..=511_i64].prop_map(Cell::Number).boxed(),
        _ => prop_oneof![0..=30_i64, 0..=65_535_i64].prop_map(Cell::Number).boxed(),
    };
    prop_oneof![1 => Just(None), 4 => value.prop_map(Some)].boxed()
}

/// Rows, and for each column whether the batch has it and in which of its types.
fn rows() -> impl Strategy<Value = (Vec<Row>, Vec<u8>)> {
    let columns: Vec<_> = EVENTS
        .iter()
        .filter(|c| {
            matches!(
                c.kind,
                ColumnKind::Addr | ColumnKind::Text | ColumnKind::I16 | ColumnKind::I32 | ColumnKind::I64
            )
        })
        .map(|c| cell(c.name, c.kind).prop_map(move |cell| (c.name, cell)))
        .collect();
    let row = columns
        .prop_map(|cells| cells.into_iter().filter_map(|(name, cell)| Some((name, cell?))).collect::<Row>());
    (vec(row, 0..12), vec(0..8_u8, EVENTS.len()))
}

/// Builds the batch; takes what a missing column held out of the rows.
fn batch(rows: &mut [Row], types: &[u8]) -> RecordBatch {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (column, kind) in EVENTS.iter().zip(types) {
        if *kind == 7 {
            rows.iter_mut().for_each(|row| {
                row.remove(column.name);
            });
            continue;
        }
        let number = |row: &Row| match row.get(column.name) {
            Some(Cell::Number(n)) => Some(*n),
            _ => None,
        };
        let text = |row: &Row| match row.get(column.name) {
            Some(Cell::Text(t)) => Some(t.clone()),
            _ => None,
        };
        let array: ArrayRef = match (column.kind, kind) {
            (ColumnKind::Addr, _) => {
                let values = rows.iter().map(|row| match row.get(column.name) {
                    Some(Cell::Ip(ip)) => Some(addr_from_ip(*ip)),
                    _ => None,
                });
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).unwrap())
            }
            (ColumnKind::I16, _) => {
                Arc::new(rows.iter().map(|r| number(r).map(|n| n as i16)).collect::<Int16Array>())
            }
            (ColumnKind::I32, _) => {
                Arc::new(rows.iter().map(|r| number(r).map(|n| n as i32)).collect::<Int32Array>())
            }
            (ColumnKind::I64, _) => Arc::new(rows.iter().map(number).collect::<Int64Array>()),
            (ColumnKind::Text, 0..=2) => Arc::new(rows.iter().map(text).collect::<StringViewArray>()),
            (ColumnKind::Text, 3..=5) => {
                let values: Vec<Option<String>> = rows.iter().map(text).collect();
                Arc::new(values.iter().map(|v| v.as_deref()).collect::<DictionaryArray<Int32Type>>())
            }
            (ColumnKind::Text, _) => Arc::new(rows.iter().map(text).collect::<StringArray>()),
            _ => continue,
        };
        fields.push(Field::new(column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap()
}

fn naive(expr: &Expr, row: &Row) -> bool {
    match expr {
        Expr::All => true,
        Expr::And(parts) => parts.iter().all(|part| naive(part, row)),
        Expr::Or(parts) => parts.iter().any(|part| naive(part, row)),
        Expr::Not(inner) => !naive(inner, row),
        Expr::Term(term) => {
            term.field.columns.iter().filter_map(|column| row.get(column)).any(|cell| holds(term, cell))
        }
    }
}

fn holds(term: &Term, cell: &Cell) -> bool {
    match (&term.values, cell) {
        (Values::Present, _) => true,
        (Values::Addr(addrs), Cell::Ip(ip)) => addrs.items().iter().any(|item| item_holds(item, *ip)),
        (Values::Numbers(ranges), Cell::Number(n)) => ranges.iter().any(|r| (r.first..=r.last).contains(n)),
        (Values::Flags(mask), Cell::Number(n)) => (0..9).any(|bit| mask >> bit & 1 == 1 && n >> bit & 1 == 1),
        (Values::Text(patterns), Cell::Text(text)) => patterns.iter().any(|p| pattern_holds(p, text)),
        (Values::Groups(groups), Cell::Text(text)) => {
            let host = text.to_lowercase();
            groups.names().iter().any(|name| {
                (pattern_holds(name, "db") && (host.starts_with("db") || host == "pg1"))
                    || (pattern_holds(name, "web") && (host == "web-01" || host == "web-02"))
            })
        }
        other => panic!("{other:?}"),
    }
}

fn item_holds(item: &AddrItem, ip: IpAddr) -> bool {
    let ip = addr_to_ip(addr_from_ip(ip));
    match item {
        AddrItem::Range(range) => {
            let (first, last) = (addr_to_ip(range.first), addr_to_ip(range.last));
            match (range.is_v4(), ip) {
                (true, IpAddr::V4(_)) => (first..=last).contains(&ip),
                (false, IpAddr::V6(v6)) => (u128::from_be_bytes(range.first)
                    ..=u128::from_be_bytes(range.last))
                    .contains(&v6.to_bits()),
                _ => false,
            }
        }
        AddrItem::Class(class) => class_of(ip) == Some(*class),
        AddrItem::Fleet => {
            matches!(ip.to_string().as_str(), "10.0.0.1" | "10.0.0.2")
                || matches!(ip, IpAddr::V6(v6) if v6.to_bits() >> 64 == 0)
        }
        AddrItem::Set(name) if name == "admins" => match ip {
            IpAddr::V4(v4) => v4.to_bits() >> 4 == u32::from_be_bytes([192, 0, 2, 0]) >> 4,
            IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0xa],
        },
        AddrItem::Set(_) | AddrItem::Own => false,
    }
}

fn class_of(ip: IpAddr) -> Option<Class> {
    let private = match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let other = match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            a == 0 || a >= 240 || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unspecified() || v6.segments()[0] & 0xffc0 == 0xfec0,
    };
    match () {
        () if ip.is_loopback() => Some(Class::Loopback),
        () if ip.is_multicast() => Some(Class::Multicast),
        () if private => Some(Class::Private),
        () if link_local => Some(Class::LinkLocal),
        () if other => None,
        () => Some(Class::Public),
    }
}

fn pattern_holds(pattern: &TextPattern, text: &str) -> bool {
    let lower: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let lower_text: String = lower.iter().collect();
    match pattern {
        TextPattern::Whole(whole) => *whole == lower_text,
        TextPattern::Substring(part) => lower_text.contains(part.as_str()),
        TextPattern::Glob(glob) => glob_holds(&glob.chars().collect::<Vec<_>>(), &lower),
        TextPattern::Regex(regex) => {
            regex::Regex::new(&format!("(?i:{})", regex.as_str())).unwrap().is_match(text)
        }
    }
}

fn glob_holds(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            glob_holds(rest, text) || text.split_first().is_some_and(|(_, after)| glob_holds(glob, after))
        }
        (Some(('?', rest)), Some((_, after))) => glob_holds(rest, after),
        (Some((g, rest)), Some((t, after))) => g == t && glob_holds(rest, after),
        _ => false,
    }
}

fn answer(expr: &Expr, batch: &RecordBatch) -> Vec<bool> {
    let array = Matcher::new(&Filter::from(expr.clone())).matches(batch);
    assert!(array.nulls().is_none());
    array.values().iter().collect()
}

proptest! {
    #![proptest_config(check::config())]

    #[test]
    fn it_agrees_with_a_row_by_row_evaluator(
        exprs in vec(random::expr(), 1..6),
        (mut rows, types) in rows(),
    ) {
        let batch = batch(&mut rows, &types);
        for expr in exprs {
            let expected: Vec<bool> = rows.iter().map(|row| naive(&expr, row)).collect();
            prop_assert_eq!(answer(&expr, &batch), expected, "{}", Filter::from(expr));
        }
    }

    #[test]
    fn de_morgan_holds(a in random::expr(), b in random::expr(), (mut rows, types) in rows()) {
        let batch = batch(&mut rows, &types);
        let not = |e: &Expr| Expr::negate(e.clone());
        let both = Expr::and(vec![a.clone(), b.clone()]);
        let either = Expr::or(vec![a.clone(), b.clone()]);
        prop_assert_eq!(answer(&not(&both), &batch), answer(&Expr::or(vec![not(&a), not(&b)]), &batch));
        prop_assert_eq!(answer(&not(&either), &batch), answer(&Expr::and(vec![not(&a), not(&b)]), &batch));
        prop_assert_eq!(answer(&Expr::or(vec![a.clone(), not(&a)]), &batch), vec![true; rows.len()]);
        prop_assert_eq!(answer(&Expr::and(vec![a.clone(), not(&a)]), &batch), vec![false; rows.len()]);
    }

    /// The text, not the tree, decides: canonical print and original give the same rows.
    #[test]
    fn the_canonical_form_gives_the_same_rows(text in random::nearly(), (mut rows, types) in rows()) {
        if let Ok(filter) = Filter::parse(&text, &check::context()) {
            let again = Filter::parse(&filter.to_string(), &check::context()).unwrap();
            let batch = batch(&mut rows, &types);
            prop_assert_eq!(answer(filter.expr(), &batch), answer(again.expr(), &batch));
        }
    }
}

#[test]
fn negation_is_plain_not() {
    let mut rows: Vec<Row> = vec![
        Row::from([("dport", Cell::Number(22)), ("src", Cell::Ip("10.0.0.1".parse().unwrap()))]),
        Row::from([("dport", Cell::Number(80)), ("dst", Cell::Ip("10.0.0.1".parse().unwrap()))]),
        Row::from([("src", Cell::Ip("::1".parse().unwrap())), ("dst", Cell::Ip("::2".parse().unwrap()))]),
    ];
    let batch = batch(&mut rows, &vec![0; EVENTS.len()]);
    for (text, expected) in [
        ("dport:22", [true, false, false]),
        ("-dport:22", [false, true, true]),
        ("-dport:22 dport:*", [false, true, false]),
        ("-dport:*", [false, false, true]),
        ("-ip:10.0.0.1", [false, false, true]),
        ("-src:10.0.0.1", [false, true, true]),
        ("src:0.0.0.0/0", [true, false, false]),
        ("ip:::/0", [false, false, true]),
        ("uid:0", [false, false, false]),
        ("-uid:0", [true, true, true]),
        ("src:@empty", [false, false, false]),
        ("-src:@empty", [true, true, true]),
        ("*", [true, true, true]),
        ("-*", [false, false, false]),
    ] {
        let filter = Filter::parse(text, &check::context()).unwrap();
        assert_eq!(answer(filter.expr(), &batch), expected, "{text}");
    }
}

#[test]
fn a_batch_without_columns_or_rows_has_an_answer() {
    let empty = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(3)),
    )
    .unwrap();
    let filter = Filter::parse("-src:10.0.0.1 -web", &Context::default()).unwrap();
    assert_eq!(answer(filter.expr(), &empty), [true; 3]);
    let none = batch(&mut [], &vec![0; EVENTS.len()]);
    assert_eq!(answer(filter.expr(), &none), [false; 0]);
}

type Passes = fn(i64) -> bool;

/// Numbers are compared many at a time; the last of them are fewer.
#[test]
fn a_batch_of_any_length_has_an_answer_for_each_row() {
    for rows in [1, 7, 8, 63, 64, 65, 127, 128, 129, 1000] {
        let numbers: Vec<i64> = (0..rows).map(|at| at * 37 % 211).collect();
        let narrow = |n: &i64| i16::try_from(*n).unwrap();
        let port = |n: &i64| i32::try_from(*n).unwrap();
        let columns: [(&str, ArrayRef); 3] = [
            ("ttl", Arc::new(Int16Array::from_iter_values(numbers.iter().map(narrow)))),
            ("dport", Arc::new(Int32Array::from_iter_values(numbers.iter().map(port)))),
            ("mark", Arc::new(Int64Array::from_iter_values(numbers.iter().copied()))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        for field in ["ttl", "dport", "mark"] {
            let passes: [(&str, Passes); 4] = [
                ("0", |n| n == 0),
                ("37", |n| n == 37),
                ("40-200", |n| (40..=200).contains(&n)),
                ("1,9,100-150", |n| n == 1 || n == 9 || (100..=150).contains(&n)),
            ];
            for (values, passes) in passes {
                let filter = Filter::parse(&format!("{field}:{values}"), &check::context()).unwrap();
                let expected: Vec<bool> = numbers.iter().map(|n| passes(*n)).collect();
                assert_eq!(answer(filter.expr(), &batch), expected, "{field}:{values} of {rows}");
            }
        }
    }
}
