//! The filter as the terms that it is made of, each of which can be turned over, off, or taken out.

use crate::syntax;
use bartizan_filter::{Expr, Filter, Term, TextPattern, Values, fold};
use bartizan_model::Kind;
use bartizan_schema::FieldKind;
use serde_json::Value;

/// One term of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chip {
    /// As it is written. In parentheses where it needs them beside others.
    pub(super) text: String,
    /// Whether it counts.
    pub(super) on: bool,
}

impl Chip {
    fn new(text: String) -> Self {
        Self { text, on: true }
    }

    /// The opposite.
    pub(super) fn negate(&mut self) {
        self.text = match self.text.strip_prefix('-') {
            Some(rest) => rest.to_owned(),
            None => format!("-{}", self.text),
        };
    }
}

/// The terms that must all hold. A filter with names that only the server knows is one term.
pub(super) fn split(text: &str) -> Vec<Chip> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    let Ok(filter) = syntax::check(Kind::Events, text) else {
        return vec![Chip::new(format!("({text})"))];
    };
    let parts = match filter.expr() {
        Expr::All => Vec::new(),
        Expr::And(parts) => parts.clone(),
        other => vec![other.clone()],
    };
    parts.into_iter().map(|part| Chip::new(printed(part))).collect()
}

/// The filter of the terms that count.
pub(super) fn joined(chips: &[Chip]) -> String {
    chips.iter().filter(|chip| chip.on).map(|chip| chip.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn printed(part: Expr) -> String {
    let several = matches!(part, Expr::Or(_) | Expr::And(_));
    let text = Filter::from(part).to_string();
    if several { format!("({text})") } else { text }
}

/// The term that says that a field has a value, or that it has none.
pub(super) fn term(field: &str, value: Option<&Value>) -> Option<Chip> {
    let field = bartizan_schema::field(field)?;
    let text = match value.filter(|value| !value.is_null()) {
        None => return Some(Chip::new(format!("-{}:*", field.name))),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if field.kind != FieldKind::Text {
        let filter = syntax::check(Kind::Events, &format!("{}:{text}", field.name)).ok()?;
        return Some(Chip::new(filter.to_string()));
    }
    let values = Values::text(vec![TextPattern::Whole(fold(&text))]);
    Some(Chip::new(printed(Expr::Term(Term { field, values }))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(chips: &[Chip]) -> Vec<&str> {
        chips.iter().map(|chip| chip.text.as_str()).collect()
    }

    #[test]
    fn a_filter_is_taken_apart_and_put_together() {
        let mut chips = split("dport:ssh  -host:web* (src:public OR proto:udp)");
        assert_eq!(texts(&chips), ["dport:22", "-host:web*", "(src:public OR proto:udp)"]);
        chips[1].negate();
        chips[2].negate();
        assert_eq!(joined(&chips), "dport:22 host:web* -(src:public OR proto:udp)");
        chips[0].on = false;
        chips[2].negate();
        assert_eq!(joined(&chips), "host:web* (src:public OR proto:udp)");
        assert_eq!(texts(&split("a OR b")), ["(a OR b)"]);
        assert_eq!(split(" "), []);
        assert_eq!(texts(&split("src:@office dport:22")), ["(src:@office dport:22)"]);
    }

    #[test]
    fn a_value_becomes_a_term() {
        let text = |field, value: Value| term(field, Some(&value)).unwrap().text;
        assert_eq!(text("src", json!("203.0.113.9")), "src:203.0.113.9");
        assert_eq!(text("dport", json!(22)), "dport:22");
        assert_eq!(text("dport", Value::Null), "-dport:*");
        assert_eq!(text("proto", json!("tcp")), "proto:tcp");
        assert_eq!(term("", Some(&json!("x"))), None, "no field");
        let chip = text("prefix", json!("a\" OR x:\u{1b} "));
        let filter = Filter::parse(&chip, &bartizan_filter::Context::default()).unwrap();
        assert!(matches!(filter.expr(), Expr::Term(_)), "{chip}");
    }
}
