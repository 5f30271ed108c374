//! Laws of the parser.

use crate::{check, random};
use bartizan_filter::{Filter, MAX_DEPTH, MAX_LEN};
use proptest::prelude::*;

proptest! {
    #![proptest_config(check::config())]

    #[test]
    fn what_is_printed_is_read_back(expr in random::expr()) {
        let filter = Filter::from(expr);
        let printed = filter.to_string();
        let again = Filter::parse(&printed, &check::context());
        prop_assert!(again.is_ok(), "{}", again.unwrap_err().render(&printed, false));
        prop_assert_eq!(again.unwrap(), filter, "{}", printed);
    }

    #[test]
    fn nearly_filters_keep_the_promises(text in random::nearly()) {
        check::any_text(&text);
    }

    #[test]
    fn mutated_filters_keep_the_promises(text in random::mutated()) {
        check::any_text(&text);
    }

    #[test]
    fn any_text_keeps_the_promises(text in any::<String>()) {
        check::any_text(&text);
    }
}

#[test]
fn steps_grow_with_the_length_and_no_faster() {
    for piece in [
        "a ",
        "(",
        ")",
        "-",
        "- ",
        "\"",
        "\\",
        ",",
        ":",
        "a:",
        "src:",
        "10.0.0.1,",
        "dport:22 ",
        "dport:1,2 ",
        "*",
        "?*",
        "a*b",
        "a OR ",
        "not ",
        "a(",
        "=",
        "&&",
        "~\"",
        "::",
        "é",
        "\u{a0}",
        "10.",
        "(a OR b) ",
        "(a)",
        "(a)or",
        "src:(",
        "{",
        "a=b ",
        "@",
        "\"x\" ",
        "\"x\",",
        "dport ",
        "dport = ",
    ] {
        for prefix in ["", "src:", "prefix:", "\"", "prefix:~\"", "(", "dport:22 ", "dport:22,"] {
            let text = |n: usize| format!("{prefix}{}", piece.repeat(n / piece.len()));
            for n in [100, 1000, MAX_LEN - prefix.len()] {
                check::any_text(&text(n));
            }
        }
    }
}

#[test]
fn limits_are_errors_not_crashes() {
    let parse = |text: &str| Filter::parse(text, &check::context());
    assert!(parse(&"a".repeat(MAX_LEN)).is_ok());
    assert!(parse(&"a".repeat(MAX_LEN + 1)).unwrap_err().message.contains("at most 8192 bytes"));
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).unwrap_err().message.contains("deeper than 64"));
    assert!(parse(&"(".repeat(MAX_LEN)).is_err());
    assert!(parse(&"-".repeat(MAX_LEN)).is_err());
    // Printing adds parentheses: what would not be read back is refused at once.
    let mixed = format!("{}z{}", "(a b OR ".repeat(60), ")".repeat(60));
    check::any_text(&mixed);
    let wide = "a b or ".repeat(MAX_LEN / 7) + "a";
    assert!(parse(&wide).unwrap_err().message.contains("written out in full"));
    let many = "rule:~\"a\" ".repeat(33);
    assert!(parse(&many).unwrap_err().message.contains("at most 32 regular expressions"));
    let list = (0..1600).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert!(parse(&format!("dport:{list}")).is_ok());
}
