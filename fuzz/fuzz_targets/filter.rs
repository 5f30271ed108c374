//! Any text is a filter or an error, in time linear in its length, and what prints is read back.
#![no_main]

use bartizan_filter::{AddrRange, Context, Filter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let admins = AddrRange::parse("192.0.2.0/28").into_iter().collect();
    let context = Context::default().with_set("admins", admins).with_group("db", &["db*".to_owned()]);
    let (result, steps) = Filter::parse_counting(text, &context);
    assert!(steps <= 24 * text.len() + 64);
    match result {
        Ok(filter) => {
            assert!(!filter.explain(bartizan_model::Kind::Events).is_empty());
            let printed = filter.to_string();
            assert_eq!(Filter::parse(&printed, &context).as_ref(), Ok(&filter));
        }
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some());
            let shown = error.render(text, false);
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
    if let Some(filter) = bartizan_filter::recognise(text) {
        assert!(Filter::parse(&filter, &context).is_ok());
    }
});
