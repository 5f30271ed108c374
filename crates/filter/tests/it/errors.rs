//! What is wrong with what people write, and what is proposed instead.

use crate::check;
use bartizan_filter::{Filter, FilterError};

fn fails(text: &str) -> FilterError {
    check::any_text(text);
    match Filter::parse(text, &check::context()) {
        Ok(filter) => panic!("{text:?} is a filter: {filter}"),
        Err(error) => error,
    }
}

/// Text, what is marked, message, proposal (empty for none).
const TABLE: &[(&str, &str, &str, &str)] = include!("errors.in");

#[test]
fn every_slip_has_its_message() {
    let mut wrong = String::new();
    for (text, marked, message, proposal) in TABLE {
        let error = fails(text);
        let actual = (
            *text,
            &text[error.span.clone()],
            error.message.as_str(),
            error.proposal.as_deref().unwrap_or(""),
        );
        if actual != (*text, *marked, *message, *proposal) {
            wrong.push_str(&format!("    {actual:?},\n"));
        }
    }
    assert!(wrong.is_empty(), "not as in the table:\n{wrong}");
}

#[test]
fn every_proposal_is_a_filter() {
    for (text, ..) in TABLE {
        if let Some(proposal) = fails(text).proposal {
            let result = Filter::parse(&proposal, &check::context());
            assert!(result.is_ok(), "{text:?} -> {proposal:?}: {:?}", result.unwrap_err());
        }
    }
}

#[test]
fn it_is_rendered_with_carets() {
    let text = "src:10.0.0.1 dprot:22";
    assert_eq!(
        fails(text).render(text, false),
        "filter error: unknown field `dprot`\n  src:10.0.0.1 dprot:22\n               ^^^^^\n  did you mean: src:10.0.0.1 dport:22\n"
    );
    let coloured = fails(text).render(text, true);
    assert!(coloured.contains("\u{1b}[1;31m^^^^^\u{1b}[0m"), "{coloured:?}");
}

#[test]
fn what_could_move_the_cursor_is_escaped() {
    let text = "a\u{1b}[2J:x \u{202e}dport:70000";
    let shown = fails(text).render(text, false);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    assert!(shown.contains("a\\u{1b}[2J:x"), "{shown}");
}

#[test]
fn a_long_filter_is_cut_around_the_mistake() {
    let text = format!("{} dprot:22 {}", "aaaa ".repeat(100), "bbbb ".repeat(100));
    let shown = fails(&text).render(&text, false);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].chars().count() < 120, "{shown}");
    let caret = lines[2].find('^').unwrap();
    assert_eq!(lines[1].chars().skip(caret).take(5).collect::<String>(), "dprot");
}
