//! The canonical form. Everything here is read back by the parser to the same tree.

use crate::{Expr, NumRange, Term, TextPattern, Values, names, numbers};
use bartizan_schema::FieldKind;
use std::fmt::{self, Write};

/// A whole filter: nothing for everything.
pub(crate) fn filter(expr: &Expr, out: &mut impl Write) -> fmt::Result {
    match expr {
        Expr::All => Ok(()),
        Expr::And(parts) => joined(parts, " ", out),
        Expr::Or(parts) => joined(parts, " OR ", out),
        other => part(other, out),
    }
}

fn joined(parts: &[Expr], separator: &str, out: &mut impl Write) -> fmt::Result {
    for (i, one) in parts.iter().enumerate() {
        if i > 0 {
            out.write_str(separator)?;
        }
        part(one, out)?;
    }
    Ok(())
}

/// A part of an AND, an OR or a NOT.
fn part(expr: &Expr, out: &mut impl Write) -> fmt::Result {
    match expr {
        Expr::All => out.write_char('*'),
        Expr::And(_) | Expr::Or(_) => {
            out.write_char('(')?;
            filter(expr, out)?;
            out.write_char(')')
        }
        Expr::Not(inner) => {
            out.write_char('-')?;
            part(inner, out)
        }
        Expr::Term(term) => self::term(term, out),
    }
}

/// How deep its parentheses nest when it is printed.
pub(crate) fn depth(expr: &Expr) -> usize {
    fn inside(expr: &Expr) -> usize {
        match expr {
            Expr::All | Expr::Term(_) => 0,
            Expr::Not(inner) => inside(inner),
            Expr::And(parts) | Expr::Or(parts) => 1 + parts.iter().map(inside).max().unwrap_or(0),
        }
    }
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(inside).max().unwrap_or(0),
        other => inside(other),
    }
}

fn term(term: &Term, out: &mut impl Write) -> fmt::Result {
    let bare = term.field.name.is_empty();
    if !bare {
        write!(out, "{}:", term.field.name)?;
    }
    match &term.values {
        Values::Present => out.write_char('*'),
        Values::Addr(addrs) => list(addrs.items(), out, |item, out| write!(out, "{item}")),
        Values::Numbers(ranges) => list(ranges, out, |range, out| {
            let name = match term.field.kind {
                FieldKind::Proto if range.first == range.last => names::protocol_name(range.first),
                _ => None,
            };
            match name {
                Some(name) => out.write_str(name),
                None => {
                    let sign = if term.field.kind == FieldKind::Asn { "AS" } else { "" };
                    number(*range, numbers::max_of(term.field), sign, out)
                }
            }
        }),
        Values::Flags(mask) => {
            let set: Vec<&str> =
                names::FLAGS.iter().filter(|(_, bit)| mask & bit != 0).map(|(name, _)| *name).collect();
            list(&set, out, |name, out| out.write_str(name))
        }
        Values::Text(patterns) => list(patterns, out, |one, out| pattern(one, bare, out)),
        Values::Groups(groups) => list(groups.names(), out, |one, out| pattern(one, bare, out)),
    }
}

fn list<T, W: Write>(items: &[T], out: &mut W, print: impl Fn(&T, &mut W) -> fmt::Result) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.write_char(',')?;
        }
        print(item, out)?;
    }
    Ok(())
}

fn number(range: NumRange, max: i64, sign: &str, out: &mut impl Write) -> fmt::Result {
    match range {
        NumRange { first, last } if first == last => write!(out, "{sign}{first}"),
        NumRange { first, last } if last == max => write!(out, ">={sign}{first}"),
        NumRange { first: 0, last } => write!(out, "<={sign}{last}"),
        NumRange { first, last } => write!(out, "{sign}{first}-{sign}{last}"),
    }
}

fn pattern(pattern: &TextPattern, bare: bool, out: &mut impl Write) -> fmt::Result {
    match pattern {
        TextPattern::Whole(text) if is_plain_value(text) => out.write_str(text),
        TextPattern::Substring(text) if is_plain_word(text) => out.write_str(text),
        TextPattern::Whole(text) | TextPattern::Substring(text) => out.write_str(&quoted(text)),
        TextPattern::Glob(glob) if bare => {
            let inner = glob.strip_prefix('*').and_then(|g| g.strip_suffix('*'));
            // Without the star in front, `*dport>2?*` would be read as a comparison.
            out.write_str(inner.filter(|inner| !inner.contains(['<', '>'])).unwrap_or(glob))
        }
        TextPattern::Glob(glob) => out.write_str(glob),
        TextPattern::Regex(regex) => write!(out, "~{}", quoted(regex.as_str())),
    }
}

/// Whether a value of a text field needs no quotes.
fn is_plain_value(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '+' | '%' | '#'))
}

/// Whether a bare word needs no quotes.
fn is_plain_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !matches!(text, "and" | "or" | "not")
        && bartizan_schema::field(text).is_none()
}

/// A text in quotes. A backslash is doubled only where it would be read as an escape, so that a regular
/// expression looks as it was written.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = c == '"' || (c == '\\' && matches!(chars.peek(), None | Some('"' | '\\')));
        if escaped {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
