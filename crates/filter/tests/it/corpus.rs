//! The committed seeds of the fuzz target, replayed.

use crate::check;
use std::{fs, path::Path};

#[test]
fn every_seed_keeps_the_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/filter");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check::any_text(&String::from_utf8_lossy(&bytes));
        seen += 1;
    }
    assert!(seen >= 20, "{seen} seeds");
}
