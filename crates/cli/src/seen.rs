//! Rows that were shown, by their names, so that a tail over several connections shows none twice.
//!
//! What a server that was killed had shown and not yet stored, its senders deliver again; to the server that comes back
//! it is new, and only who has seen it can tell.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

/// Rows that are remembered.
const MOST: usize = 100_000;

/// The newest rows that were shown. Names are kept as 64 bits of a keyed hash: two of a hundred thousand are taken for one
/// another once in three billion tails.
#[derive(Default)]
pub(crate) struct Seen {
    key: RandomState,
    order: VecDeque<u64>,
    names: HashSet<u64>,
}

impl Seen {
    /// Whether a row, as the server prints it, is shown for the first time. One without a name always is.
    pub(crate) fn is_new(&mut self, row: &str) -> bool {
        let Some(name) = name(row) else { return true };
        let name = self.key.hash_one(name);
        if !self.names.insert(name) {
            return false;
        }
        self.order.push_back(name);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }
}

/// The name of a row: its last member. No text of an event can look like one, since its quotes are escaped.
fn name(row: &str) -> Option<&str> {
    row.rsplit_once("\"id\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_new_once_and_what_is_long_ago_is_forgotten() {
        let mut seen = Seen::default();
        let row = |n: usize| format!(r#"{{"prefix":"\"id\":\"x\"","id":"stream/1/{n}"}}"#);
        assert!(seen.is_new(&row(0)) && seen.is_new(&row(1)));
        assert!(!seen.is_new(&row(0)) && !seen.is_new(&row(1)));
        for n in 2..MOST + 1 {
            assert!(seen.is_new(&row(n)));
        }
        assert!(seen.is_new(&row(0)), "the oldest is forgotten");
        assert!(!seen.is_new(&row(2)));
        assert_eq!(seen.order.len(), MOST);
        assert_eq!(seen.names.len(), MOST);
        assert!(seen.is_new("{}") && seen.is_new("{}"));
    }
}
