//! The accounts of all groups, and the note about them that every record carries (AG-3).
//!
//! ```text
//! note: magic and version (4), stamp u64, number of accounts u16, then for each its length u16 and its bytes
//! ```
//! Big endian. The stamp grows with each note, so that of several lanes' notes the newest is known.
//!
//! Rows in the memory lane are not on disk. While there are any, notes are made from accounts that leave them
//! out, so that rows which die with the process are found missing after the restart.

use bartizan_ruleset::{Account, Balance, Incarnation, LogRule};
use std::collections::BTreeMap;
use std::time::Duration;

const MAGIC: [u8; 4] = *b"BZA1";

/// All groups' accounts.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    stamp: u64,
    live: BTreeMap<u16, Account>,
    /// The accounts without what is in memory only, while there is any.
    secured: Option<BTreeMap<u16, Account>>,
}

impl Accounts {
    /// The accounts as the newest of several notes tells them; groups without one begin.
    pub(crate) fn restore<'a>(notes: impl Iterator<Item = &'a [u8]>, groups: &[u16]) -> Self {
        let (stamp, mut known) = notes.filter_map(parse).max_by_key(|(stamp, _)| *stamp).unwrap_or_default();
        let live = groups.iter().map(|g| (*g, known.remove(g).unwrap_or_else(|| Account::new(*g)))).collect();
        Self { stamp, live, secured: None }
    }

    /// The reading of a start, made before the groups are bound.
    pub(crate) fn resume(&mut self, incarnation: Incarnation, rules: &[LogRule]) -> Vec<(u16, Balance)> {
        self.live.iter_mut().map(|(group, account)| (*group, account.resume(incarnation, rules))).collect()
    }

    /// A reading while `group` is bound; see [`Account::observe`].
    pub(crate) fn observe(
        &mut self,
        group: u16,
        rules: &[LogRule],
        at: Duration,
        idle: bool,
        quiet: Duration,
    ) -> Option<Balance> {
        self.live.get_mut(&group).map(|account| account.observe(rules, at, idle, quiet))
    }

    /// A hole of `gap` numbers in the sequence of `group`: how many of them are not in the ledger yet; see
    /// [`Account::hole`].
    #[must_use]
    pub(crate) fn hole(&mut self, group: u16, gap: u64) -> u64 {
        if let Some(account) = self.secured.as_mut().and_then(|accounts| accounts.get_mut(&group)) {
            // what the ledger has is the same for both
            let _ = account.hole(gap);
        }
        self.live.get_mut(&group).map_or(gap, |account| account.hole(gap))
    }

    /// Book rows or losses of `group` that are in a record on disk.
    pub(crate) fn book(&mut self, group: u16, packets: u64) {
        for accounts in [Some(&mut self.live), self.secured.as_mut()].into_iter().flatten() {
            if let Some(account) = accounts.get_mut(&group) {
                account.book(packets);
            }
        }
    }

    /// Book rows or losses of `group` that are in memory only.
    pub(crate) fn book_in_memory(&mut self, group: u16, packets: u64) {
        self.secured.get_or_insert_with(|| self.live.clone());
        if let Some(account) = self.live.get_mut(&group) {
            account.book(packets);
        }
    }

    /// The server has all that was in memory only.
    pub(crate) fn memory_is_empty(&mut self) {
        self.secured = None;
    }

    /// The note for the next record.
    pub(crate) fn note(&mut self) -> Vec<u8> {
        self.stamp += 1;
        let accounts = self.secured.as_ref().unwrap_or(&self.live);
        let mut note = Vec::with_capacity(128);
        note.extend(MAGIC);
        note.extend(self.stamp.to_be_bytes());
        let parts: Vec<Vec<u8>> = accounts.values().map(Account::to_bytes).collect();
        note.extend(u16::try_from(parts.len()).expect("groups are u16 numbers, each once").to_be_bytes());
        for part in parts {
            note.extend(u16::try_from(part.len()).expect("an account is bounded below 64 KiB").to_be_bytes());
            note.extend(part);
        }
        note
    }
}

fn parse(note: &[u8]) -> Option<(u64, BTreeMap<u16, Account>)> {
    let rest = note.strip_prefix(&MAGIC)?;
    let (stamp, rest) = rest.split_first_chunk::<8>()?;
    let (number, mut rest) = rest.split_first_chunk::<2>()?;
    let mut accounts = BTreeMap::new();
    for _ in 0..u16::from_be_bytes(*number) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (bytes, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let account = Account::from_bytes(bytes)?;
        accounts.insert(account.group(), account);
        rest = after;
    }
    Some((u64::from_be_bytes(*stamp), accounts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_note_is_restored_and_garbage_is_not() {
        let mut accounts = Accounts::restore(std::iter::empty(), &[5, 7]);
        let old = accounts.note();
        accounts.book(5, 3);
        let new = accounts.note();
        let restored = Accounts::restore([&new[..], &old[..], b"BZA1 nonsense"].into_iter(), &[5, 9]);
        assert_eq!(restored.stamp, 2);
        assert_eq!(restored.live.keys().copied().collect::<Vec<_>>(), [5, 9]);
        assert_eq!(restored.live[&5], accounts.live[&5]);
        for cut in 0..new.len() {
            assert!(parse(&new[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn rows_in_memory_are_left_out_of_notes_until_the_server_has_them() {
        let mut accounts = Accounts::restore(std::iter::empty(), &[5]);
        accounts.book(5, 1);
        accounts.book_in_memory(5, 10);
        accounts.book(5, 100);
        let without: Account = parse(&accounts.note()).unwrap().1.remove(&5).unwrap();
        let mut expected = Account::new(5);
        expected.book(101);
        assert_eq!(without, expected);
        accounts.memory_is_empty();
        let with = parse(&accounts.note()).unwrap().1.remove(&5).unwrap();
        expected.book(10);
        assert_eq!(with, expected);
    }
}
