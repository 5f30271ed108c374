//! A filter in words, one thought to a line, for people who want to know what they have asked.

use crate::{AddrItem, Addrs, Expr, Filter, NumRange, Term, TextPattern, Values, names, print};
use bartizan_model::Kind;
use bartizan_schema::{Field, FieldKind};

/// Values of a list that are named; of more only the number.
const SHOWN: usize = 12;

impl Filter {
    /// What rows of a table it finds, in words: a line for each term, indented where terms belong together.
    /// A field that the table does not have is said to hold no value, as it does when the filter runs.
    #[must_use]
    pub fn explain(&self, kind: Kind) -> String {
        let mut out = String::new();
        lines(self.expr(), kind, 0, &mut out);
        out
    }
}

fn line(indent: usize, text: &str, out: &mut String) {
    out.push_str(&"  ".repeat(indent));
    out.push_str(text);
    out.push('\n');
}

fn lines(expr: &Expr, kind: Kind, indent: usize, out: &mut String) {
    match expr {
        Expr::All => line(indent, "every row", out),
        Expr::And(parts) => {
            line(indent, "all of:", out);
            parts.iter().for_each(|part| lines(part, kind, indent + 1, out));
        }
        Expr::Or(parts) => {
            line(indent, "any of:", out);
            parts.iter().for_each(|part| lines(part, kind, indent + 1, out));
        }
        Expr::Term(term) => line(indent, &said(term), out),
        Expr::Not(inner) => match &**inner {
            Expr::All => line(indent, "no row", out),
            Expr::Term(term) => {
                let mut columns = term.field.columns_in(kind);
                let absent = match (&term.values, columns.all(|column| column.nullable)) {
                    (Values::Present, _) | (_, false) => "",
                    _ => "; true also where there is none",
                };
                line(indent, &format!("not: {}{absent}", said(term)), out);
            }
            Expr::And(parts) => {
                line(indent, "not all of:", out);
                parts.iter().for_each(|part| lines(part, kind, indent + 1, out));
            }
            Expr::Or(parts) => {
                line(indent, "none of:", out);
                parts.iter().for_each(|part| lines(part, kind, indent + 1, out));
            }
            other => {
                line(indent, "not:", out);
                lines(other, kind, indent + 1, out);
            }
        },
    }
}

fn said(term: &Term) -> String {
    format!("{} {}", subject(term.field), values(term))
}

fn subject(field: &Field) -> String {
    if field.name.is_empty() {
        return "prefix, rule or host".to_owned();
    }
    let doc = field.doc.split([':', ';']).next().unwrap_or_default();
    format!("{} ({doc})", field.name)
}

fn values(term: &Term) -> String {
    match &term.values {
        Values::Present => "is there".to_owned(),
        Values::Addr(addrs) => format!("is {}", list(&addresses(addrs))),
        Values::Numbers(ranges) => {
            let said = |range: &NumRange| match term.field.kind {
                FieldKind::Proto if range.first == range.last => {
                    names::protocol_name(range.first).map_or_else(|| number(range), str::to_owned)
                }
                _ => number(range),
            };
            format!("is {}", list(&ranges.iter().map(said).collect::<Vec<_>>()))
        }
        Values::Flags(mask) => {
            let set = names::FLAGS.iter().filter(|(_, bit)| mask & bit != 0);
            format!("has {}", list(&set.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()))
        }
        Values::Text(patterns) => list(&patterns.iter().map(pattern).collect::<Vec<_>>()),
        Values::Groups(groups) => {
            let names: Vec<_> = groups.names().iter().map(name).collect();
            format!("is {} (hosts: {})", list(&names), count(groups.hosts().len(), "name"))
        }
    }
}

fn addresses(addrs: &Addrs) -> Vec<String> {
    addrs
        .items()
        .iter()
        .map(|item| match item {
            AddrItem::Range(range) => range.to_string(),
            AddrItem::Class(class) => format!("a {class} address", class = class.as_str()),
            AddrItem::Fleet => "an address of the fleet".to_owned(),
            AddrItem::Own => "an address of this host".to_owned(),
            AddrItem::Set(name) => format!("in the set {name}"),
        })
        .collect()
}

fn number(range: &NumRange) -> String {
    match range.first == range.last {
        true => range.first.to_string(),
        false => format!("{} to {}", range.first, range.last),
    }
}

fn pattern(pattern: &TextPattern) -> String {
    match pattern {
        TextPattern::Whole(text) => format!("is {}", print::quoted(text)),
        TextPattern::Glob(glob) => format!("is like {glob}"),
        TextPattern::Substring(text) => format!("contains {}", print::quoted(text)),
        TextPattern::Regex(regex) => format!("matches ~{}", print::quoted(regex.as_str())),
    }
}

/// Of a group.
fn name(pattern: &TextPattern) -> String {
    match pattern {
        TextPattern::Whole(text) | TextPattern::Glob(text) | TextPattern::Substring(text) => text.clone(),
        TextPattern::Regex(regex) => format!("~{}", print::quoted(regex.as_str())),
    }
}

/// `a, b or c`.
fn list(items: &[String]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] if items.len() <= SHOWN => format!("{} or {last}", most.join(", ")),
        many => {
            let (shown, rest) = many.split_at_checked(SHOWN).unwrap_or((many, &[]));
            format!("{} or {}", shown.join(", "), count(rest.len(), "other"))
        }
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    fn explained(kind: Kind, text: &str) -> String {
        let context = Context::default().with_group("db", &["db*".into(), "pg1".into()]);
        Filter::parse_for(kind, text, &context).unwrap().explain(kind)
    }

    #[test]
    fn a_filter_is_said_in_words() {
        let text = "dport:22,8000-9000 (src:public OR prefix:in-*) -host:web-01 -proto:tcp group:db -mark:*";
        assert_eq!(
            explained(Kind::Events, text),
            "all of:\n\
             \x20 dport (destination port) is 22 or 8000 to 9000\n\
             \x20 any of:\n\
             \x20   src (source address) is a public address\n\
             \x20   prefix (the log prefix) is like in-*\n\
             \x20 not: host (the host that logged it) is \"web-01\"\n\
             \x20 not: proto (IP protocol) is tcp; true also where there is none\n\
             \x20 group (hosts that the configuration puts into a group) is db (hosts: 2 names)\n\
             \x20 not: mark (packet mark) is there\n"
        );
        assert_eq!(explained(Kind::Events, ""), "every row\n");
        assert_eq!(explained(Kind::Events, "-*"), "no row\n");
        assert_eq!(explained(Kind::Losses, "-(a b)").lines().next(), Some("not all of:"));
        assert_eq!(explained(Kind::Losses, "-(a OR b)").lines().next(), Some("none of:"));
    }

    #[test]
    fn of_a_long_list_only_some_is_said() {
        let ports: Vec<String> = (0..40).map(|n| (2 * n).to_string()).collect();
        let text = explained(Kind::Events, &format!("dport:{}", ports.join(",")));
        assert!(text.ends_with("20, 22 or 28 others\n"), "{text}");
    }
}
