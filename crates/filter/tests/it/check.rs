//! What holds for every text, whether it is a filter or not.

use bartizan_filter::{AddrRange, Context, Filter};
use proptest::test_runner::Config;

/// Sets `admins` and `empty`, groups `db`, `web` and `nobody`, a fleet, and a few system services.
pub(crate) fn context() -> Context {
    let nets = |list: &[&str]| list.iter().map(|n| AddrRange::parse(n).unwrap()).collect();
    Context::default()
        .with_set("admins", nets(&["192.0.2.0/28", "2001:db8:a::/48"]))
        .with_set("empty", Vec::new())
        .with_group("db", &["db*".into(), "pg1".into()])
        .with_group("Web", &["WEB-01".into(), "web-02".into()])
        .with_group("nobody", &[])
        .with_fleet(nets(&["10.0.0.1", "10.0.0.2", "::/64"]))
        .with_services("jetdirect 9100/tcp\nexec 512/tcp\nbiff 512/udp comsat\ntwo 700/tcp\ntwo 701/udp\n")
}

/// 256 cases, or many with `BARTIZAN_SOAK=1`.
pub(crate) fn config() -> Config {
    let cases = if std::env::var_os("BARTIZAN_SOAK").is_some() { 20_000 } else { 256 };
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// The parser's promises; the fuzz target asserts the same.
pub(crate) fn any_text(text: &str) {
    let context = context();
    let (result, steps) = Filter::parse_counting(text, &context);
    assert!(steps <= 24 * text.len() + 64, "{steps} steps for {} bytes: {text:?}", text.len());
    match result {
        Ok(filter) => {
            let printed = filter.to_string();
            let again =
                Filter::parse(&printed, &context).unwrap_or_else(|e| panic!("{e}: {text:?} -> {printed:?}"));
            assert_eq!(again, filter, "{text:?} -> {printed:?}");
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{error:?} of {text:?}");
            assert!(!error.message.is_empty());
            let shown = error.render(text, false);
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            assert!(shown.len() < 8 * 1024, "{} bytes", shown.len());
            let _ = error.render("something else", true);
            assert_ne!(error.proposal.as_deref(), Some(text), "{error:?} proposes what was written");
        }
    }
    if let Some(filter) = bartizan_filter::recognise(text) {
        assert!(Filter::parse(&filter, &context).is_ok(), "{filter:?} from {text:?}");
    }
}
