//! The table of docs/security.md against the running server: what a browser is told, who may ask, what a request may be,
//! and what strangers may take (faults F35, F37). After each line of it, who was in before is well, and who comes anew
//! gets in.

mod floods;
mod requests;
mod site;
mod talk;

use site::{HOME, Site};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

type Check = (&'static str, fn(&Site));

const TABLE: &[Check] = &[
    ("every answer has the policy", requests::every_answer_has_the_policy),
    ("a session counts where the page asks", requests::a_session_counts_where_the_page_asks),
    ("bodies are JSON and bounded", requests::bodies_are_json_and_bounded),
    ("a request is one and its head is bounded", requests::a_request_is_one_and_its_head_is_bounded),
    ("TLS is of today and hosts show certificates", requests::tls_is_of_today_and_hosts_show_certificates),
    ("guessing is slow", requests::guessing_is_slow),
    ("ten thousand half handshakes", floods::ten_thousand_half_handshakes),
    ("slow heads", floods::slow_heads),
    ("a hundred megabytes of headers", floods::a_hundred_megabytes_of_headers),
    ("streams that come and go", floods::streams_that_come_and_go),
    ("readers that stand still", floods::readers_that_stand_still),
];

#[test]
fn who_is_at_the_door_hurts_nobody_who_is_in() {
    let site = Site::new();
    site.is_well(HOME);
    // All of it is tried, whatever fails before.
    let held = |(what, check): &&Check| {
        let begun = Instant::now();
        let held = catch_unwind(AssertUnwindSafe(|| {
            check(&site);
            site.is_well(HOME);
        }));
        eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
        held.is_ok()
    };
    let (held, not): (Vec<_>, Vec<_>) = TABLE.iter().partition(held);
    assert!(not.is_empty(), "{} of {} do not hold: {:?}", not.len(), held.len() + not.len(), names(&not));
    site.end();
}

fn names(checks: &[&Check]) -> Vec<&'static str> {
    checks.iter().map(|(what, _)| *what).collect()
}
