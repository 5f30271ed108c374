//! What people write out of habit, and what they mean by it.
//!
//! Everything here only runs on the way to an error. A proposal is a guess: it is worth making if it is right
//! most of the time, and it is never applied by itself.

mod address;

pub(crate) use address::{address_and_port, meant_address};

use crate::{
    AddrRange, Class, Context,
    error::{Fault, shown},
    names, numbers,
    print::quoted,
    suggest,
};
use bartizan_model::Kind;
use bartizan_schema::{Field, FieldKind};
use std::ops::Range;

/// A value of an address field that is no address, class or set.
pub(crate) fn not_an_address(field: &'static Field, text: &str, span: Range<usize>) -> Fault {
    if let Some((message, instead)) = meant_address(text) {
        return Fault::new(span, message).instead(instead);
    }
    if let Some((addr, port)) = address_and_port(text) {
        let fault = Fault::new(span, "address and port are two terms");
        return fault.instead(format!("{addr} {}:{port}", port_field(field)));
    }
    let lower = text.to_lowercase();
    let classes = Class::ALL.iter().map(|class| class.as_str()).chain(["fleet", "self"]);
    if let Some(class) = suggest::closest(&lower, classes) {
        return Fault::new(span, format!("`{}` is not a class of addresses", shown(text))).instead(class);
    }
    if lower.starts_with(|c: char| c.is_alphabetic()) && !lower.contains(':') {
        // The proposal replaces the value only; the parser widens it to the term.
        return Fault::new(
            span,
            format!(
                "`{}` takes addresses, and `{}` is a name; names are not looked up",
                field.name,
                shown(text)
            ),
        );
    }
    Fault::new(span, format!("`{}` is not an address, a network or a range", shown(text)))
}

/// Whether a value of an address field looks like the name of a host.
fn is_host_name(text: &str) -> bool {
    text.contains(['.', '-'])
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The port field on the same side as an address field.
pub(crate) fn port_field(field: &Field) -> &'static str {
    match field.name {
        "src" => "sport",
        "dst" => "dport",
        "inner.src" => "inner.sport",
        "inner.dst" => "inner.dport",
        _ => "port",
    }
}

/// A value of `flags` that is no flag.
pub(crate) fn not_a_flag(text: &str, lower: &str, span: Range<usize>) -> Fault {
    for (separators, joiner, message) in [
        (&['/', '|', ';'][..], ",", "flags of which any may be set are separated by commas"),
        (&['+', '&'][..], " flags:", "flags that must all be set are several terms"),
    ] {
        let parts: Vec<&str> = lower.split(separators).collect();
        if parts.len() > 1 && parts.iter().all(|p| names::flag(p).is_some()) {
            return Fault::new(span, message).instead(parts.join(joiner));
        }
    }
    let fault = Fault::new(
        span,
        format!("`{}` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", shown(text)),
    );
    let long =
        [("push", "psh"), ("reset", "rst"), ("urgent", "urg"), ("finish", "fin"), ("synchronize", "syn")];
    let letters = [
        ("f", "fin"),
        ("s", "syn"),
        ("r", "rst"),
        ("p", "psh"),
        ("a", "ack"),
        ("u", "urg"),
        ("e", "ece"),
        ("c", "cwr"),
    ];
    let by_table = long.iter().chain(&letters).find(|(word, _)| *word == lower).map(|(_, flag)| *flag);
    if let Some(flag) = by_table.or_else(|| suggest::closest(lower, names::FLAGS.iter().map(|(n, _)| *n))) {
        return fault.instead(flag);
    }
    // `SA`, as scanners write several
    let spelled: Option<Vec<&str>> = lower
        .chars()
        .map(|c| letters.iter().find(|(l, _)| l.starts_with(c)).map(|(_, flag)| *flag))
        .collect();
    match spelled {
        Some(flags) if !flags.is_empty() && flags.len() <= 8 => fault.instead(flags.join(" flags:")),
        _ => fault,
    }
}

/// Other tools' words for our values.
pub(crate) fn synonym(field: &str, word: &str) -> Option<&'static str> {
    match (field, word) {
        ("action", "block" | "blocked" | "deny" | "denied" | "dropped") => Some("drop"),
        ("action", "allow" | "allowed" | "pass" | "permit" | "accepted") => Some("accept"),
        ("action", "rejected" | "refuse") => Some("reject"),
        ("action", "logged") => Some("log"),
        ("family", "ipv4" | "4" | "ip4") => Some("ip"),
        ("family", "ipv6" | "6") => Some("ip6"),
        ("hook", "in" | "incoming") => Some("input"),
        ("hook", "out" | "outgoing") => Some("output"),
        ("ct", "est") => Some("established"),
        _ => None,
    }
}

/// Signs at the start of an unquoted value that are meant as something else.
pub(crate) fn text_value(field: &'static Field, text: &str, span: Range<usize>) -> Result<(), Fault> {
    let name = field.name;
    let quoted_text = quoted(text);
    let fault = match text.chars().next() {
        Some('@') => {
            Fault::new(span, format!("sets hold addresses, and `{name}` is text")).instead(quoted_text)
        }
        Some('~') => Fault::new(span, "a regular expression is written in quotes")
            .instead(format!("~{}", quoted(text.trim_start_matches('~')))),
        Some('=') => {
            let rest = text.trim_start_matches('=');
            let fault = Fault::new(span, "the colon already says `equal`");
            if rest.is_empty() { fault } else { fault.instead(rest) }
        }
        // The proposal is the parser's, which knows the whole term.
        Some('!') => Fault::new(span, "the sign of negation stands before the field"),
        Some('<' | '>') => {
            Fault::new(span, format!("`{name}` is text and has no order; quote it to search for it"))
                .instead(quoted_text)
        }
        Some('/') if text.len() > 2 && text.ends_with('/') => {
            Fault::new(span, "a regular expression is written ~\"…\"")
                .instead(format!("~{}", quoted(text.trim_matches('/'))))
        }
        _ => return Ok(()),
    };
    Err(fault)
}

/// Refuses a hardware address that is not written as the column has it, in lower case already.
pub(crate) fn check_mac(text: &str, span: &Range<usize>) -> Result<(), Fault> {
    let pairs = |separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() >= 2 && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if pairs(':') {
        return Ok(());
    }
    let fault = Fault::new(
        span.clone(),
        format!(
            "`{}` is not a hardware address; it is written 52:54:00:12:34:56, or 52:54:00:* for the vendor",
            shown(text)
        ),
    );
    if pairs('-') {
        return Err(fault.instead(text.replace('-', ":")));
    }
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    if digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let pairs: Vec<String> =
            digits.as_bytes().chunks(2).map(|p| p.iter().map(|b| char::from(*b)).collect()).collect();
        return Err(fault.instead(pairs.join(":")));
    }
    Err(fault)
}

/// Whether a text is a hardware address of six bytes.
fn is_mac(text: &str) -> bool {
    text.len() == 17 && check_mac(&text.to_lowercase().replace('-', ":"), &(0..0)).is_ok()
}

/// An operator of another language where a term should stand, or a whole word of it.
pub(crate) fn operator(word: &str, span: Range<usize>) -> Option<Fault> {
    let stem = word.trim_start_matches(['&', '|']);
    let sign = word.get(..word.len() - stem.len()).unwrap_or_default();
    let (message, keyword) = match sign.chars().next() {
        Some('&') => ("a space is AND", ""),
        Some('|') => ("OR is written as a word", "OR"),
        _ => return None,
    };
    let fault = Fault::new(span, message);
    Some(match (stem.is_empty(), keyword.is_empty()) {
        (true, _) => fault.instead(keyword),
        (false, true) => fault.instead(stem),
        (false, false) => fault.instead(format!("{keyword} {stem}")),
    })
}

/// `name=value`, `name != value` and the like: the operator, in its canonical form, and what follows it.
pub(crate) fn comparison(rest: &str) -> Option<(&'static str, &str)> {
    let table = [
        ("!==", "!="),
        ("!=", "!="),
        ("===", "="),
        ("==", "="),
        ("=~", "=~"),
        ("=", "="),
        (">=", ">="),
        ("<=", "<="),
        (">", ">"),
        ("<", "<"),
    ];
    table.into_iter().find_map(|(sign, meaning)| rest.strip_prefix(sign).map(|after| (meaning, after)))
}

/// The term that a comparison of another language means.
pub(crate) fn compared(field: &Field, operator: &str, value: &str) -> String {
    let name = field.name;
    match operator {
        "!=" => format!("-{name}:{value}"),
        "=" => format!("{name}:{value}"),
        "=~" if value.starts_with('"') => format!("{name}:~{value}"),
        "=~" => format!("{name}:~{}", quoted(value)),
        order => format!("{name}:{order}{value}"),
    }
}

/// A word that is no text to search for: numbers and half addresses, sets, hardware addresses.
pub(crate) fn bare_word(word: &str, span: Range<usize>) -> Option<Fault> {
    if let Some((message, instead)) = meant_address(word) {
        return Some(Fault::new(span, message).instead(format!("ip:{instead}")));
    }
    if let Some((addr, port)) = address_and_port(word) {
        return Some(
            Fault::new(span, "address and port are two terms").instead(format!("(ip:{addr} port:{port})")),
        );
    }
    if word.starts_with('@') {
        return Some(Fault::new(span, "a set belongs to an address field").instead(format!("ip:{word}")));
    }
    if word.starts_with('~') {
        return Some(
            Fault::new(span, "a regular expression belongs to a text field")
                .instead(format!("prefix:~{}", quoted(word.trim_start_matches('~').trim_matches('"')))),
        );
    }
    if is_mac(word) {
        let mac = word.to_lowercase().replace('-', ":");
        return Some(Fault::new(span, "a hardware address belongs to `mac`").instead(format!("mac:{mac}")));
    }
    let number = numbers::comparison(word).map_or(word, |(_, rest)| rest);
    let numeric = numbers::integer(number).is_some()
        || number
            .split_once('-')
            .is_some_and(|(a, b)| numbers::integer(a).is_some() && numbers::integer(b).is_some());
    if numeric {
        let fault = Fault::new(
            span,
            format!("`{}` alone could be a port, a length or anything; name the field", shown(word)),
        );
        let port = bartizan_schema::field("port")?;
        let as_port = numbers::integer(number).is_none_or(|n| n <= numbers::max_of(port));
        return Some(fault.instead(if as_port { format!("port:{word}") } else { quoted(word) }));
    }
    if is_clock(word) {
        return Some(
            Fault::new(span, "time is not part of a filter: use the time picker or --since and --until")
                .instead(""),
        );
    }
    for (sign, joiner) in [("&&", " "), ("||", " OR ")] {
        if word.contains(sign) {
            let message = if sign == "&&" { "a space is AND" } else { "OR is written as a word" };
            let joined = word.split(sign).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(joiner);
            return Some(Fault::new(span, message).instead(format!("({joined})")));
        }
    }
    if word.contains("::") {
        return Some(not_quite_address(word, span));
    }
    if word.contains([':', '=']) || word.starts_with(['<', '>', '{', '|', '&', '!', '-']) {
        let fault =
            Fault::new(span, format!("`{}` is not a term; quote it to search for the text", shown(word)));
        return Some(fault.instead(quoted(word)));
    }
    None
}

fn not_quite_address(word: &str, span: Range<usize>) -> Fault {
    let message = format!("`{}` is not an address; quote it to search for the text", shown(word));
    Fault::new(span, message).instead(quoted(word))
}

/// `12:30`, `12:30:59`, `2026-11-23`, `2026-11-23T12:30:59Z`
fn is_clock(word: &str) -> bool {
    let shape: String = word.chars().take(40).map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    shape == "9999-99-99"
        || shape.starts_with("9999-99-99T")
        || shape == "99:99"
        || shape.starts_with("99:99:99")
}

/// A name before a colon that is no field.
pub(crate) fn unknown_field(
    kind: Kind,
    name: &str,
    word: &str,
    name_span: Range<usize>,
    word_span: Range<usize>,
) -> Fault {
    if is_mac(word) {
        let mac = word.to_lowercase();
        return Fault::new(word_span, "a hardware address belongs to `mac`").instead(format!("mac:{mac}"));
    }
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'/' | b'.'));
    let looks_like_address = (hex && word.matches(':').count() > 1)
        || (word.contains("::") && name.bytes().all(|b| b.is_ascii_hexdigit()));
    if let Some((message, instead)) = meant_address(word) {
        return Fault::new(word_span, message).instead(format!("ip:{instead}"));
    }
    if looks_like_address {
        return not_quite_address(word, word_span);
    }
    let fault = Fault::new(name_span.clone(), format!("unknown field `{}`", shown(name)));
    match name.to_lowercase().as_str() {
        "time" | "date" | "since" | "until" | "timestamp" => {
            return Fault::new(
                word_span,
                "time is not part of a filter: use the time picker or --since and --until",
            );
        }
        "not" | "and" | "or" => return fault.edit(name_span.end..name_span.end + 1, " "),
        _ => {}
    }
    match suggest::field(kind, name) {
        Some(field) => fault.edit(name_span, field.name),
        None => {
            let message = format!("unknown field `{}`; quote it to search for the text", shown(name));
            Fault::new(name_span, message).edit(word_span, quoted(word))
        }
    }
}

/// A field of other tables than the one that is asked.
pub(crate) fn other_tables_field(kind: Kind, field: &Field, name_span: Range<usize>) -> Fault {
    let others: Vec<_> = field.tables().map(Kind::as_str).collect();
    let message = format!("`{}` is a field of {}, not of {kind}", field.name, others.join(" and "));
    let fault = Fault::new(name_span.clone(), message);
    match suggest::counterpart(kind, field.name) {
        Some(other) => fault.edit(name_span, other),
        None => fault,
    }
}

/// A bare address where rows have none.
pub(crate) fn no_addresses(kind: Kind, word: &str, span: Range<usize>) -> Fault {
    let message = format!("{kind} have no addresses; quote it to search for the text");
    Fault::new(span, message).instead(quoted(word))
}

/// A field name that stands alone: the sign and value after it, if they look meant.
pub(crate) fn lone_field(field: &'static Field, word: &str, span: Range<usize>, rest: &str) -> Fault {
    let after = rest.trim_start();
    let gap = rest.len() - after.len();
    let message =
        format!("`{}` is a field and needs a colon and a value; quote it to search for the text", field.name);
    let fault = Fault::new(span.clone(), message);
    let end_of =
        |text: &str| text.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(text.len());
    if let Some((operator, value_at)) =
        comparison(after).or_else(|| after.strip_prefix(':').map(|rest| ("=", rest)))
    {
        let value_text = value_at.trim_start();
        let sign_end = span.end + gap + (after.len() - value_at.len());
        let value_end = end_of(value_text);
        let value = value_text.get(..value_end).unwrap_or_default();
        let until = sign_end + (value_at.len() - value_text.len()) + value_end;
        let fault = Fault::new(
            span.start..sign_end,
            format!("a comparison is written `{0}:value`, its opposite `-{0}:value`", field.name),
        );
        return match value.is_empty() {
            true => fault,
            false => fault.edit(span.start..until, compared(field, operator, value)),
        };
    }
    let value_end = end_of(after);
    let value = after.get(..value_end).unwrap_or_default();
    let is_value = !value.is_empty()
        && !value.contains(':')
        && gap > 0
        && !matches!(value.to_lowercase().as_str(), "and" | "or" | "not")
        && !value.starts_with(['-', '!', '"', '&', '|', ','])
        && (field.kind != FieldKind::Text || bartizan_schema::field(value).is_none());
    let is_address = AddrRange::parse(value).is_some();
    if (is_value && field.kind != FieldKind::Text) || (is_address && field.kind == FieldKind::Addr) {
        return fault.edit(span.start..span.end + gap + value_end, format!("{}:{value}", field.name));
    }
    fault.instead(quoted(word))
}

/// `field:(a OR b)` and `field:{ a, b }`: the list, if it is one.
pub(crate) fn grouped_list(inner: &str) -> Option<String> {
    let mut list = Vec::new();
    for part in inner.split(|c: char| c.is_whitespace() || c == ',' || c == '|') {
        match part {
            "" => {}
            _ if part.eq_ignore_ascii_case("or") => {}
            _ if part.eq_ignore_ascii_case("and") || part.contains(['(', ')', '"', '{', '}']) => return None,
            value => list.push(value),
        }
    }
    (!list.is_empty()).then(|| list.join(","))
}

/// The term of another field that a value was meant for: a host's name among addresses, a protocol among
/// ports, a service among protocols.
pub(crate) fn misplaced(field: &Field, text: &str, context: &Context) -> Option<String> {
    let lower = text.to_lowercase();
    match field.kind {
        FieldKind::Addr if is_host_name(text) => Some(format!("host:{text}")),
        FieldKind::Port if names::protocol(&lower).is_some() => Some(format!("proto:{lower}")),
        FieldKind::Proto if !context.service(&lower).is_empty() => Some(format!("port:{lower}")),
        _ => None,
    }
}
