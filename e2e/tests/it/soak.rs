//! The soak for some seconds, with faults that are always the same ones.

use crate::scene::possible;
use bartizan_e2e::soak::{Plan, soak};
use std::sync::atomic::AtomicBool;

#[test]
fn everything_adds_up_while_everything_fails() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: dir.path().to_owned(), seconds: 9, seed: 8, hosts: 2 };
    let report = soak(&plan, &AtomicBool::new(false)).unwrap();
    for line in report.lines() {
        eprintln!("{line}");
    }
    assert_eq!(report.missed(), [] as [String; 0]);
}
