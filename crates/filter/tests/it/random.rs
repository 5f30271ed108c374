//! Random filters: as trees in normal form, and as texts that are nearly filters.

use crate::check;
use bartizan_filter::{
    AddrItem, AddrRange, Addrs, Class, Expr, Groups, NumRange, Pattern, Term, TextPattern, Values, WORD, fold,
};
use bartizan_model::Kind;
use bartizan_schema::{FIELDS, Field, FieldKind};
use proptest::{collection::vec, prelude::*, sample::select};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses from a small pool, so that filters and rows meet.
pub(crate) fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        select(vec![
            "10.0.0.1",
            "10.0.0.2",
            "10.255.255.255",
            "127.0.0.1",
            "169.254.1.1",
            "192.0.2.5",
            "192.168.1.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00::1",
            "2001:db8::1",
            "2001:db8:a::1",
            "::fffe:ffff:ffff",
            "::1:0:0:0",
        ])
        .prop_map(|text| text.parse().unwrap()),
        any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        any::<u128>().prop_map(|n| IpAddr::V6(Ipv6Addr::from(n))),
    ]
}

fn addr_range() -> impl Strategy<Value = AddrRange> {
    (ip(), ip(), 0..=128_u8, 0..3).prop_map(|(a, b, len, shape)| {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        let len = if a.is_ipv4() { len % 33 } else { len };
        let text = match shape {
            0 => a.to_string(),
            1 => format!("{a}/{len}"),
            _ => format!("{a}-{b}"),
        };
        AddrRange::parse(&text).unwrap_or(AddrRange::one(a))
    })
}

fn addr_item() -> impl Strategy<Value = AddrItem> {
    prop_oneof![
        4 => addr_range().prop_map(AddrItem::Range),
        1 => select(Class::ALL.to_vec()).prop_map(AddrItem::Class),
        1 => Just(AddrItem::Fleet),
        1 => select(vec!["admins", "empty"]).prop_map(|name| AddrItem::Set(name.to_owned())),
    ]
}

fn max_of(field: &Field) -> i64 {
    match (field.kind, field.name) {
        (FieldKind::Port, _) => 65_535,
        (FieldKind::Proto, _) | (_, "ttl" | "tos" | "type" | "code") => 255,
        (_, "vlan") => 4095,
        (_, "len") => i64::from(i32::MAX),
        _ => i64::from(u32::MAX),
    }
}

fn num_range(max: i64) -> impl Strategy<Value = NumRange> {
    let number = move || prop_oneof![Just(0), Just(max), 0..=30_i64, 0..=max];
    (number(), number(), any::<bool>())
        .prop_map(|(a, b, one)| NumRange { first: a.min(b), last: if one { a.min(b) } else { a.max(b) } })
}

/// Texts that rows hold too.
pub(crate) fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["web-01", "WEB-02", "db1", "[UFW BLOCK] ", "in-22", "eth0.100", "", "Größe", "ÉTÉ", "a,b", "x(y)", "or", "22", "q\"\\q"])
            .prop_map(str::to_owned),
        1 => any::<String>().prop_map(|s| s.chars().take(12).collect()),
    ]
}

fn glob() -> impl Strategy<Value = String> {
    "[a-zé0-9_.:*?-]{1,8}".prop_filter_map("a glob", |text| {
        let mut glob = fold(&text);
        while glob.contains("**") {
            glob = glob.replace("**", "*");
        }
        (glob.contains(['*', '?']) && glob != "*").then_some(glob)
    })
}

fn regex() -> impl Strategy<Value = TextPattern> {
    select(vec!["^in-\\d+$", "(?-i)UFW", "a|b\"c", "\\\\", "é", ".*", "web-0[12]", "[[:punct:]]$", "\\b"])
        .prop_map(|text| TextPattern::Regex(Pattern::new(text).unwrap()))
}

fn text_values(field: &'static Field) -> BoxedStrategy<Values> {
    let whole: BoxedStrategy<String> = match field.name {
        "action" => select(vec!["drop", "reject", "accept", "log"]).prop_map(str::to_owned).boxed(),
        "hook" => select(vec!["input", "output", "forward"]).prop_map(str::to_owned).boxed(),
        "family" => select(vec!["ip", "ip6", "inet"]).prop_map(str::to_owned).boxed(),
        "ct" => select(vec!["new", "established"]).prop_map(str::to_owned).boxed(),
        "country" | "src.country" | "dst.country" => "[a-z]{2}".boxed(),
        "mac" => "[0-9a-f]{2}(:[0-9a-f]{2}){1,5}".boxed(),
        _ => word().prop_map(|text| fold(&text)).boxed(),
    };
    vec(
        prop_oneof![2 => whole.prop_map(TextPattern::Whole), 1 => glob().prop_map(TextPattern::Glob), 1 => regex()],
        1..4,
    )
    .prop_map(Values::text)
    .boxed()
}

/// Names of the groups that there are.
fn group_names() -> impl Strategy<Value = Vec<TextPattern>> {
    let whole = select(vec!["db", "web", "nobody"]).prop_map(|name| TextPattern::Whole(name.to_owned()));
    let glob = select(vec!["*", "w*", "?b"]).prop_map(|name| TextPattern::Glob(name.to_owned()));
    vec(prop_oneof![2 => whole, 1 => glob], 1..4)
}

fn term() -> impl Strategy<Value = Expr> {
    let registered = select(FIELDS.iter().filter(|f| f.is_in(Kind::Events)).collect::<Vec<&'static Field>>())
        .prop_flat_map(|field| {
            let values = match field.kind {
                FieldKind::Addr => vec(addr_item(), 1..5)
                    .prop_map(|items| Values::Addr(Addrs::new(items, &check::context())))
                    .boxed(),
                FieldKind::Flags => (1..512_i64).prop_map(Values::Flags).boxed(),
                FieldKind::Text => text_values(field),
                FieldKind::Group => group_names()
                    .prop_map(|names| Values::Groups(Groups::new(names, &check::context())))
                    .boxed(),
                _ => vec(num_range(max_of(field)), 1..5).prop_map(Values::numbers).boxed(),
            };
            // `*` of a group is a name like others
            let values = match field.kind {
                FieldKind::Group => values,
                _ => prop_oneof![1 => Just(Values::Present), 8 => values].boxed(),
            };
            values.prop_map(move |values| Expr::Term(Term { field, values }))
        });
    let bare = prop_oneof![
        word()
            .prop_filter("some text", |text| !text.is_empty())
            .prop_map(|text| TextPattern::Substring(fold(&text))),
        "[a-zé][a-z?<>-]{0,3}[?][*]?[a-z]".prop_map(|inner| TextPattern::Glob(format!("*{inner}*"))),
    ]
    .prop_map(|pattern| Expr::Term(Term { field: &WORD, values: Values::Text(vec![pattern]) }));
    prop_oneof![6 => registered, 1 => bare]
}

/// A tree in normal form.
pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    prop_oneof![1 => Just(Expr::All), 20 => term()].prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Expr::and),
            vec(inner.clone(), 1..4).prop_map(Expr::or),
            inner.prop_map(Expr::negate),
        ]
    })
}

/// Pieces of filters and of what is nearly one, strung together.
pub(crate) fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => select(vec![
            "src:", "dport:", "ip:", "host:", "flags:", "proto:", "prefix:", "mac:", "len:", "nosuch:", "action:", "10.0.0.1", "10.0.0.0/8",
            "10.0.*", "::1", "2001:db8::/32", "::ffff:1.2.3.4", "22", "80-90", ">1024", "70000", "ssh", "tcp", "syn", "private", "@admins", "@",
            "web*", "*", "\"x y\"", "\"", "\\", "~\"a+\"", "~", "(", ")", ",", "-", "!", "=", "!=", "==", "&&", "||", " ", " ", " ", " ", "\t",
            "AND", "OR", "NOT", "and ", " or ", "not ", "fleet", "self", "é", "\u{a0}", "\u{1b}[31m", "{", "}", "12:30", "0x10", "'", ":", "%eth0",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A filter's text with a few bytes changed.
pub(crate) fn mutated() -> impl Strategy<Value = String> {
    (expr(), vec((any::<prop::sample::Index>(), any::<char>(), 0..3), 1..4)).prop_map(|(expr, changes)| {
        let mut text: Vec<char> = bartizan_filter::Filter::from(expr).to_string().chars().collect();
        for (at, with, how) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match how {
                0 => text[at] = with,
                1 => {
                    text.remove(at);
                }
                _ => text
                    .insert(at, *[' ', ',', '"', '(', ')', '-', ':', '\\'].get(with as usize % 8).unwrap()),
            }
        }
        text.into_iter().collect()
    })
}
