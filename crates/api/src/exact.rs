//! Filters of exact values, for questions that are not typed by a person.

use bartizan_filter::{Expr, Filter, Term, TextPattern, Values, fold};
use bartizan_schema::{Field, FieldKind, field};

/// Rows with a part of a ruleset, not only the news that it became active again.
static CONTENT: Field =
    Field { name: "content", kind: FieldKind::Text, columns: &["content"], doc: "the text of a part" };

/// Events of rules that ask for the packet.
static PAYLOAD: Field =
    Field { name: "payload", kind: FieldKind::Text, columns: &["payload"], doc: "the captured bytes" };

/// Rows whose field is this text, as the filter language compares.
pub(crate) fn is(name: &'static str, text: &str) -> Filter {
    let field = field(name).expect("a field of the registry");
    term(field, Values::text(vec![TextPattern::Whole(fold(text))]))
}

/// Rows of one namespace; empty for the host's own, which rows may also leave out.
pub(crate) fn in_netns(netns: &str) -> Filter {
    let named = is("netns", netns);
    if !netns.is_empty() {
        return named;
    }
    let field = field("netns").expect("a field of the registry");
    let absent = Expr::negate(term(field, Values::Present).expr().clone());
    Expr::or(vec![named.expr().clone(), absent]).into()
}

/// Rows of `rulesets` that hold text.
pub(crate) fn with_content() -> Filter {
    term(&CONTENT, Values::Present)
}

/// Rows of `events` that hold bytes of their packet.
pub(crate) fn with_payload() -> Filter {
    term(&PAYLOAD, Values::Present)
}

fn term(field: &'static Field, values: Values) -> Filter {
    Expr::Term(Term { field, values }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_a_wildcard() {
        assert_eq!(is("host", "Web-*\"").to_string(), r#"host:"web-*\"""#);
        assert_eq!(in_netns("blue").to_string(), "netns:blue");
        assert_eq!(in_netns("").to_string(), r#"netns:"" OR -netns:*"#);
    }
}
