//! Rows that were shown, by their names, so that a tail over several connections shows none twice.
//!
//! What a server that was killed had shown and not yet stored, its senders deliver again; to the server that comes back
//! it is new, and only who has seen it can tell. A sender may be back late, when others have delivered a hundred thousand
//! rows; so what was shown up to a lost connection is not forgotten for what comes after it.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    mem,
};

/// Rows of a connection that are remembered.
const MOST: usize = 100_000;
/// Lost connections of which they are.
const CONNECTIONS: usize = 8;

/// The newest rows that were shown by each connection. Names are kept as 64 bits of a keyed hash: two of a hundred thousand are taken for one
/// another once in three billion tails.
#[derive(Default)]
pub(crate) struct Seen {
    key: RandomState,
    /// Those of this connection, as they came.
    order: VecDeque<u64>,
    names: HashSet<u64>,
    /// Those of lost ones, the last first.
    before: VecDeque<HashSet<u64>>,
}

impl Seen {
    /// Whether a row, as the server prints it, is shown for the first time. One without a name always is.
    pub(crate) fn is_new(&mut self, row: &str) -> bool {
        let Some(name) = name(row) else { return true };
        let name = self.key.hash_one(name);
        if self.before.iter().any(|names| names.contains(&name)) || !self.names.insert(name) {
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

    /// The connection is lost: what it has shown may come again.
    pub(crate) fn lost(&mut self) {
        self.order.clear();
        // One that was tried in vain has shown nothing.
        if !self.names.is_empty() {
            self.before.push_front(mem::take(&mut self.names));
            self.before.truncate(CONNECTIONS);
        }
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

    #[test]
    fn what_a_lost_connection_has_shown_is_remembered_whatever_comes_after_it() {
        let mut seen = Seen::default();
        let row = |stream: &str, n: usize| format!(r#"{{"id":"{stream}/{n}"}}"#);
        assert!(seen.is_new(&row("late", 0)));
        for lost in 1..=CONNECTIONS {
            seen.lost();
            seen.lost();
            for n in 0..=MOST {
                assert!(seen.is_new(&row(&format!("busy {lost}"), n)));
            }
            assert!(!seen.is_new(&row("late", 0)), "after {lost} connections");
        }
        assert!(!seen.is_new(&row("busy 1", MOST)));
        seen.lost();
        assert!(seen.is_new(&row("late", 0)), "that is too long ago");
        assert_eq!((seen.before.len(), seen.names.len()), (CONNECTIONS, 1));
    }
}
