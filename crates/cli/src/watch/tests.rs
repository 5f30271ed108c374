//! The screen on a terminal that is a table of cells, and every key.

use super::{
    app::{App, Focus, WINDOWS},
    feed::{Bars, Counters, Facet, Inbox, Shared, Wanted},
    view::{self, Look},
};
use crate::failure::Failure;
use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Terminal, backend::TestBackend, termion::event::Key};
use serde_json::json;
use std::sync::mpsc::sync_channel;

fn now() -> Timestamp {
    "2026-11-26T10:00:05Z".parse().unwrap()
}

fn row(n: u64) -> Box<str> {
    let row = json!({
        "time": format!("2026-11-26T10:00:{:02}.125Z", n % 60), "host": "web-01",
        "action": if n.is_multiple_of(3) { "drop" } else { "accept" },
        "src": format!("203.0.113.{}", n % 250), "sport": 40000, "dst": "10.0.0.1", "dport": 22, "proto": "tcp",
        "in_if": "eth0", "prefix": "in \u{1b}[2Jdrop: \u{202e}", "id": format!("s/0/{n}"),
    });
    row.to_string().into()
}

fn rows(app: &mut App, from: u64, to: u64) {
    let turn = app.wanted().turn;
    app.take(
        Inbox { turn, rows: (from..to).map(row).collect(), connected: Some(true), ..Inbox::default() },
        now(),
    );
}

fn app(filter: &str) -> App {
    App::new(filter, true, TimeZone::UTC)
}

/// The lines of the screen.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app, Look { colour: true })).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn keys(app: &mut App, text: &str) {
    text.chars().for_each(|c| app.key(Key::Char(c)));
}

#[test]
fn a_screen_of_80_by_24_has_everything() {
    let mut app = app("dport:22 src:public");
    rows(&mut app, 0, 100);
    let bars =
        Bars { packets: (0..60).collect(), from: Some("2026-11-26T09:45:00Z".parse().unwrap()), width: 15 };
    let counters = Counters { matched: 1234, lag_ms: Some(310), ..Counters::default() };
    app.take(Inbox { bars: Some(bars), counters: Some(counters), ..Inbox::default() }, now());
    let lines = screen(&mut app, 80, 24);
    assert_eq!(lines[0], " bartizan  LIVE  1,234/s  lag 0.3 s  100 rows  UTC");
    assert_eq!(lines[1], " [dport:22] [src:public]");
    assert!(lines[2..5].iter().any(|line| line.contains('█')), "{lines:#?}");
    assert_eq!(lines[5], " 11-26 09:45 to now (15m), 1,770 packets, most 59 in 15 s");
    assert_eq!(lines[6], "TIME         HOST   ACTION SRC          SPORT DST      DPORT PROTO IN   PREFIX");
    assert!(
        lines[22].starts_with("10:00:39.125 web-01 drop   203.0.113.99 40000 10.0.0.1 22    tcp"),
        "{lines:#?}"
    );
    assert!(lines[23].contains("? help"));
    assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\u{202e}'])), "{lines:#?}");
    assert!(screen(&mut app, 200, 24)[22].ends_with("in \\x1b[2Jdrop: \\u{202e}"));
}

#[test]
fn any_size_can_be_drawn() {
    let mut app = app("a b c");
    rows(&mut app, 0, 50);
    keys(&mut app, "f?");
    for (width, height) in [(1, 1), (10, 3), (20, 5), (40, 10), (80, 24), (300, 100)] {
        screen(&mut app, width, height);
    }
    keys(&mut app, " ");
    app.key(Key::Char('/'));
    app.key(Key::Char('\n'));
    screen(&mut app, 3, 3);
}

#[test]
fn the_keys_fit_on_a_screen_of_80_by_24() {
    let mut app = app("");
    keys(&mut app, "?");
    let lines = screen(&mut app, 80, 24);
    for end in ["only with, or without the cell", "turned over, off", "local time or UTC"] {
        assert!(lines.iter().any(|line| line.trim_end_matches('│').trim_end().ends_with(end)), "{lines:#?}");
    }
}

#[test]
fn a_pause_loses_nothing_and_counts() {
    let mut app = app("");
    rows(&mut app, 0, 30);
    keys(&mut app, " ");
    let held = screen(&mut app, 80, 24);
    assert!(held[0].contains("HELD +0 new"), "{}", held[0]);
    let selected = app.row().unwrap()["id"].clone();
    rows(&mut app, 30, 2030);
    let after = screen(&mut app, 80, 24);
    assert!(after[0].contains("HELD +2,000 new") && after[0].contains("2,030 rows"), "{}", after[0]);
    assert_eq!(app.row().unwrap()["id"], selected, "what is selected stays");
    assert_eq!(held[20], after[20].clone(), "and so does what is shown");
    keys(&mut app, "G");
    let live = screen(&mut app, 80, 24);
    assert!(live[0].contains("LIVE"), "{}", live[0]);
    assert_eq!(app.row().unwrap()["id"], "s/0/2029");
}

#[test]
fn looking_back_holds_the_display() {
    let mut app = app("");
    rows(&mut app, 0, 100);
    keys(&mut app, "kk");
    assert!(!app.follow);
    assert_eq!(app.row().unwrap()["id"], "s/0/97");
    keys(&mut app, "e");
    assert_eq!(app.row().unwrap()["id"], "s/0/99");
    keys(&mut app, "EE");
    assert_eq!(app.row().unwrap()["id"], "s/0/93");
    keys(&mut app, "gk");
    assert_eq!(app.row().unwrap()["id"], "s/0/0");
}

#[test]
fn cells_become_terms_of_the_filter() {
    let mut app = app("action:drop");
    rows(&mut app, 0, 10);
    assert_eq!(app.wanted().turn, 0);
    keys(&mut app, "+");
    assert_eq!(app.wanted().filter, "action:drop src:203.0.113.9");
    assert!(app.wanted().turn == 1 && app.ring.is_empty(), "rows of the filter before are gone");
    rows(&mut app, 0, 10);
    keys(&mut app, "lll-");
    assert_eq!(app.wanted().filter, "action:drop src:203.0.113.9 -dport:22");
    rows(&mut app, 0, 10);
    keys(&mut app, "+");
    assert_eq!(app.wanted().filter, "action:drop src:203.0.113.9 dport:22", "the opposite is replaced");
    keys(&mut app, "zz");
    assert_eq!(app.wanted().filter, "action:drop src:203.0.113.9");
    app.key(Key::Char('\t'));
    assert_eq!(app.focus, Focus::Chips);
    keys(&mut app, "l!");
    assert_eq!(app.wanted().filter, "action:drop -src:203.0.113.9");
    keys(&mut app, "o");
    assert_eq!(app.wanted().filter, "action:drop");
    assert!(screen(&mut app, 80, 24)[1].contains("[off: -src:203.0.113.9]"));
    keys(&mut app, "hx");
    assert_eq!(app.wanted().filter, "");
    keys(&mut app, "x");
    assert_eq!((app.wanted().filter.as_str(), app.focus), ("", Focus::Rows));
}

#[test]
fn facets_are_asked_for_when_they_are_shown() {
    let mut app = app("");
    assert!(!app.wanted().facets);
    keys(&mut app, "f");
    assert!(app.wanted().facets);
    let facet = |field, value, packets| Facet { field, value, packets };
    let facets = vec![
        facet("action", Some(json!("drop")), 1500),
        facet("dport", Some(json!(22)), 900),
        facet("dport", None, 10),
    ];
    app.take(Inbox { facets: Some(facets), ..Inbox::default() }, now());
    let lines = screen(&mut app, 80, 24);
    assert!(lines.iter().any(|line| line.contains("│ drop") && line.ends_with("1,500")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("(none)")), "{lines:#?}");
    keys(&mut app, "jj-");
    assert_eq!(app.wanted().filter, "dport:*", "without those that have none");
    keys(&mut app, "if");
    assert_eq!(app.wanted(), Wanted { filter: "dport:*".into(), turn: 1, seconds: 900, ..Wanted::default() });
    keys(&mut app, "[[");
    assert_eq!(app.wanted().seconds, WINDOWS[3].0);
}

#[test]
fn the_filter_is_written_and_checked() {
    let mut app = app("dport:22");
    keys(&mut app, "/ dprot:1\n");
    let lines = screen(&mut app, 100, 24);
    assert!(lines[23].contains("unknown field `dprot`; did you mean dport:22 dport:1?"), "{}", lines[23]);
    assert_eq!(app.wanted().turn, 0, "what is wrong is not asked");
    app.key(Key::Ctrl('u'));
    keys(&mut app, "host:web* OR é\n");
    assert_eq!(app.wanted().filter, "(host:web* OR é)");
    keys(&mut app, "/x");
    app.key(Key::Esc);
    assert_eq!(app.wanted().filter, "(host:web* OR é)");
    keys(&mut app, "/");
    app.key(Key::Backspace);
    app.key(Key::Left);
    app.key(Key::Delete);
    app.key(Key::Home);
    keys(&mut app, "q");
    assert!(!app.quit, "a key of a text is no command");
}

#[test]
fn details_show_all_of_the_row() {
    let mut app = app("");
    rows(&mut app, 0, 3);
    keys(&mut app, "\n");
    let lines = screen(&mut app, 80, 24);
    assert!(lines.iter().any(|line| line == "prefix       in \\x1b[2Jdrop: \\u{202e}"), "{lines:#?}");
    keys(&mut app, &"j".repeat(500));
    screen(&mut app, 80, 24);
    assert_eq!(app.details, Some(0), "no further than to the end");
    app.key(Key::Esc);
    assert!(app.details.is_none());
}

#[test]
fn what_is_skipped_sampled_and_wrong_is_seen() {
    let mut app = app("");
    assert!(screen(&mut app, 80, 24)[0].contains("NO CONNECTION"));
    rows(&mut app, 0, 3);
    let counters = Counters { matched: 2000, shown: 100, sampled: 400, skipped: 1500, lag_ms: None };
    let inbox = Inbox {
        counters: Some(counters),
        dropped: 4,
        problem: Some(Some("the server\nhas fallen \u{1b}silent".into())),
        ..Inbox::default()
    };
    app.take(inbox, now());
    let lines = screen(&mut app, 80, 24);
    assert!(lines[0].contains("1:20 shown") && lines[0].contains("1,504 skipped"), "{}", lines[0]);
    assert_eq!(lines[23], " the server has fallen \\x1bsilent");
    app.take(Inbox { fatal: Some(Failure::NotPermitted("no".into())), ..Inbox::default() }, now());
    assert!(app.quit);
}

/// The loop asks anew when the filter changes, draws only what changed, and ends with its keys.
#[test]
fn the_loop_draws_only_what_changed() {
    let mut app = app("");
    let shared = Shared::default();
    let (wish, wanted) = tokio::sync::watch::channel(app.wanted());
    let (send, keys) = sync_channel(16);
    let mut drawn = 0;
    let sender = std::thread::spawn(move || {
        std::thread::sleep(super::FRAME * 4);
        for key in "/dport:22\n".chars() {
            send.send(Key::Char(key)).unwrap();
        }
        std::thread::sleep(super::FRAME * 2);
        send.send(Key::Char('q')).unwrap();
    });
    super::run(&mut app, &shared, &wish, &keys, |_| {
        drawn += 1;
        Ok(())
    })
    .unwrap();
    sender.join().unwrap();
    assert_eq!((wanted.borrow().filter.as_str(), wanted.borrow().turn), ("dport:22", 1));
    // once at the start, then for the keys
    assert!((2..=12).contains(&drawn), "{drawn} frames");
    let (nobody, no_keys) = sync_channel(1);
    drop(nobody);
    let mut app = App::new("", true, TimeZone::UTC);
    super::run(&mut app, &shared, &wish, &no_keys, |_| Ok(())).unwrap();
    assert!(app.quit, "without keys it ends");
}
