//! The accounts of all sources, and the note about them that every record carries (AG-3).
//!
//! ```text
//! note: magic and version (4), stamp u64,
//!       number of accounts u16, then for each its length u16 and its bytes,
//!       number of marks u16, then for each incarnation (24) and mark u64,
//!       length u16 of the kernel's log's position and its bytes
//! ```
//! Big endian. The stamp grows with each note, so that of several lanes' notes the newest is known. An account
//! says itself which group of which life of which namespace it is about. A mark says which reading of a
//! namespace's counters is recorded. Notes of version 1 have no marks, those of version 2 no
//! position; they are read as well.
//!
//! A record's note has room for 64 KiB. The own namespace's accounts come first; those of other namespaces that
//! do not fit are left out, and what their rules counted while no agent ran is not known after a restart.
//!
//! Rows in the memory lane are not on disk. While there are any, notes are made from accounts that leave them
//! out, so that rows which die with the process are found missing after the restart; what the server has of them is in
//! the notes from then on, whatever waits behind it.

use crate::lanes::Kept;
use crate::source::{NetnsId, SourceId};
use bartizan_model::Seq;
use bartizan_ruleset::{Account, Balance, Incarnation, LogRule};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const MAGIC_1: [u8; 4] = *b"BZA1";
const MAGIC_2: [u8; 4] = *b"BZA2";
const MAGIC: [u8; 4] = *b"BZA3";
/// Bytes of a position; a longer one is not kept.
const POSITION: usize = 1024;
/// Bytes of a note that accounts may take, so that marks have room behind them.
const ACCOUNTS_BYTES: usize = 56 << 10;
/// Marks in a note.
const MARKS: usize = 200;

/// What one record settles: whose packets it accounts for, and which reading of counters it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) packets: Vec<(SourceId, u64)>,
    pub(crate) mark: Option<(Incarnation, u64)>,
    /// Up to where the kernel's log is settled with it.
    pub(crate) log: Option<Arc<str>>,
}

impl Books {
    /// A record of one source's packets.
    pub(crate) fn packets(source: SourceId, packets: u64) -> Self {
        Self { packets: vec![(source, packets)], ..Self::default() }
    }
}

/// All accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    stamp: u64,
    live: State,
    /// What is true without what is in memory only, while there is any.
    secured: Option<State>,
    /// What is in memory only, by the numbers of its records there; as many as the memory lane holds.
    in_memory: VecDeque<(Seq, Books)>,
    /// Accounts of an earlier life of the agent whose namespaces were not met yet.
    stored: Vec<Account>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    accounts: BTreeMap<SourceId, Account>,
    marks: BTreeMap<[u8; 24], u64>,
    log: Option<Arc<str>>,
}

impl State {
    fn book(&mut self, books: &Books) {
        for (source, n) in &books.packets {
            if let Some(account) = self.accounts.get_mut(source) {
                account.book(*n);
            }
        }
        if let Some((life, mark)) = books.mark {
            self.marks.insert(life.0, mark);
        }
        if let Some(log) = &books.log {
            self.log = Some(Arc::clone(log));
        }
    }

    /// Books what is older than what was booked last: positions do not go back.
    fn book_late(&mut self, books: &Books) {
        let newer =
            books.mark.and_then(|(life, mark)| self.marks.get(&life.0).map(|known| (life, mark.max(*known))));
        let mark = newer.or(books.mark);
        self.book(&Books { packets: books.packets.clone(), mark, log: None });
    }

    /// What `books` would change.
    fn part(&self, books: &Books) -> Self {
        let accounts = books.packets.iter().filter_map(|(s, _)| Some((*s, self.accounts.get(s)?.clone())));
        let mark = books.mark.and_then(|(life, _)| self.marks.get_key_value(&life.0));
        Self {
            accounts: accounts.collect(),
            marks: mark.map(|(l, m)| (*l, *m)).into_iter().collect(),
            log: self.log.clone(),
        }
    }

    /// As it was before `books`.
    fn restore(&mut self, part: Self, books: &Books) {
        if let Some((life, _)) = books.mark {
            self.marks.remove(&life.0);
        }
        self.accounts.extend(part.accounts);
        self.marks.extend(part.marks);
        if books.log.is_some() {
            self.log = part.log;
        }
    }
}

impl Accounts {
    /// The accounts of some groups as the newest of several notes tells them.
    pub(crate) fn restore<'a>(notes: impl Iterator<Item = &'a [u8]>, groups: &[u16]) -> Self {
        let newest = notes.filter_map(parse).max_by_key(|n| n.stamp).unwrap_or_default();
        let mut stored = newest.accounts;
        stored.retain(|account| groups.contains(&account.group()));
        Self {
            stamp: newest.stamp,
            live: State { accounts: BTreeMap::new(), marks: newest.marks, log: newest.log },
            secured: None,
            in_memory: VecDeque::new(),
            stored,
        }
    }

    /// A source of the own namespace or of one that was found. `rules` were read before its group was bound, if
    /// they could be read. It goes on with its stored account, if that is of the same life.
    pub(crate) fn join(&mut self, source: SourceId, life: Incarnation, rules: Option<&[LogRule]>) -> Balance {
        let Some(group) = source.group else { return Balance::Even };
        let known = self.stored.iter().position(|a| a.group() == group && a.incarnation() == life);
        let mut account = known.map_or_else(|| Account::new(group), |at| self.stored.swap_remove(at));
        let balance = rules.map_or(Balance::Unknown, |rules| account.resume(life, rules));
        if let Some(secured) = &mut self.secured {
            secured.accounts.insert(source, account.clone());
        }
        self.live.accounts.insert(source, account);
        balance
    }

    /// A source is gone, and nothing of it is on its way any more; `rules` were read after that.
    pub(crate) fn leave(&mut self, source: SourceId, life: Incarnation, rules: &[LogRule]) -> Balance {
        if let Some(secured) = &mut self.secured {
            secured.accounts.remove(&source);
        }
        self.live.accounts.remove(&source).map_or(Balance::Even, |mut account| account.resume(life, rules))
    }

    /// Every namespace that is there has joined: what is still stored is of namespaces and boots that are gone.
    /// Settles those accounts.
    pub(crate) fn forget(&mut self) -> Vec<(u16, Balance)> {
        let settled = |mut account: Account| (account.group(), account.resume(Incarnation::default(), &[]));
        self.stored.drain(..).map(settled).collect()
    }

    /// A namespace is gone for good: the mark of its counters is not needed any more.
    pub(crate) fn forget_mark(&mut self, life: Incarnation) {
        for state in [Some(&mut self.live), self.secured.as_mut()].into_iter().flatten() {
            state.marks.remove(&life.0);
        }
    }

    /// The newest recorded reading of each namespace's counters.
    pub(crate) fn marks(&self) -> &BTreeMap<[u8; 24], u64> {
        &self.live.marks
    }

    /// The number of the last note.
    pub(crate) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// A position of the kernel's log that was stored beside the notes, when `stamp` was the last note's number: it
    /// counts unless a later note has another one.
    pub(crate) fn log_stored(&mut self, stamp: u64, position: Arc<str>) {
        if stamp >= self.stamp {
            (self.stamp, self.live.log) = (stamp, Some(position));
        }
    }

    /// Up to where the kernel's log was read.
    pub(crate) fn log(&self) -> Option<Arc<str>> {
        self.live.log.clone()
    }

    /// The kernel's log was read up to a position behind the rows that were recorded, and had nothing more.
    pub(crate) fn log_read(&mut self, position: Arc<str>) {
        // rows in memory stand before it
        if self.secured.is_none() {
            self.live.log = Some(position);
        }
    }

    /// A reading while a source is bound; see [`Account::observe`].
    pub(crate) fn observe(
        &mut self,
        source: SourceId,
        rules: &[LogRule],
        at: Duration,
        idle: bool,
        quiet: Duration,
    ) -> Option<Balance> {
        self.live.accounts.get_mut(&source).map(|account| account.observe(rules, at, idle, quiet))
    }

    /// A hole of `gap` numbers in the sequence of a source: how many of them are not in the ledger yet; see
    /// [`Account::hole`].
    #[must_use]
    pub(crate) fn hole(&mut self, source: SourceId, gap: u64) -> u64 {
        if let Some(account) = self.secured.as_mut().and_then(|state| state.accounts.get_mut(&source)) {
            // what the ledger has is the same for both
            let _ = account.hole(gap);
        }
        self.live.accounts.get_mut(&source).map_or(gap, |account| account.hole(gap))
    }

    /// Books what a record holds as far as `keep`, which is given the note for it, keeps the record.
    pub(crate) fn record(&mut self, books: &Books, keep: impl FnOnce(&[u8]) -> Kept) -> Kept {
        // the note has to count what its own record holds (AG-3)
        let live = self.live.part(books);
        let secured = self.secured.as_ref().map(|state| state.part(books));
        self.live.book(books);
        if let Some(state) = &mut self.secured {
            state.book(books);
        }
        let kept = keep(&self.note());
        match kept {
            Kept::OnDisk => {}
            Kept::InMemory(seq) => {
                let state = self.secured.get_or_insert_with(|| self.live.clone());
                state.restore(secured.unwrap_or(live), books);
                self.in_memory.push_back((seq, books.clone()));
            }
            Kept::Nowhere(_) => {
                self.live.restore(live, books);
                if let (Some(state), Some(part)) = (&mut self.secured, secured) {
                    state.restore(part, books);
                }
            }
        }
        kept
    }

    /// The server has what was in memory only, up to a record of it.
    pub(crate) fn arrived(&mut self, upto: Seq) {
        while let Some((_, books)) = self.in_memory.pop_front_if(|(seq, _)| *seq <= upto) {
            if let Some(state) = &mut self.secured {
                state.book_late(&books);
            }
        }
    }

    /// The server has all that was in memory only.
    pub(crate) fn memory_is_empty(&mut self) {
        self.in_memory.clear();
        self.secured = None;
    }

    /// The note for the next record.
    fn note(&mut self) -> Vec<u8> {
        self.stamp += 1;
        let state = self.secured.as_ref().unwrap_or(&self.live);
        let own = |s: &SourceId| s.netns == NetnsId::OWN;
        let first = state.accounts.iter().filter(|(s, _)| own(s)).map(|(_, a)| a);
        let others = state.accounts.iter().filter(|(s, _)| !own(s)).map(|(_, a)| a);
        let (mut number, mut accounts) = (0_u16, Vec::with_capacity(256));
        for account in first.chain(&self.stored).chain(others) {
            let bytes = account.to_bytes();
            if accounts.len() + 2 + bytes.len() > ACCOUNTS_BYTES || number == u16::MAX {
                continue;
            }
            number += 1;
            accounts.extend(u16::try_from(bytes.len()).expect("it is shorter than the note").to_be_bytes());
            accounts.extend(bytes);
        }
        let marks = state.marks.len().min(MARKS);
        let mut note = Vec::with_capacity(16 + accounts.len() + 32 * marks);
        note.extend(MAGIC);
        note.extend(self.stamp.to_be_bytes());
        note.extend(number.to_be_bytes());
        note.extend(accounts);
        note.extend(u16::try_from(marks).expect("it is at most MARKS").to_be_bytes());
        for (life, mark) in state.marks.iter().take(marks) {
            note.extend(life);
            note.extend(mark.to_be_bytes());
        }
        let log = state.log.as_deref().filter(|log| log.len() <= POSITION).unwrap_or_default();
        note.extend(u16::try_from(log.len()).expect("it is at most POSITION").to_be_bytes());
        note.extend(log.as_bytes());
        note
    }
}

/// A note as it was read.
#[derive(Debug, Default)]
struct Note {
    stamp: u64,
    accounts: Vec<Account>,
    marks: BTreeMap<[u8; 24], u64>,
    log: Option<Arc<str>>,
}

fn parse(note: &[u8]) -> Option<Note> {
    let (magic, rest) = note.split_first_chunk::<4>()?;
    let (stamp, rest) = rest.split_first_chunk::<8>()?;
    let (number, mut rest) = rest.split_first_chunk::<2>()?;
    let mut accounts = Vec::new();
    for _ in 0..u16::from_be_bytes(*number) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (bytes, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        accounts.push(Account::from_bytes(bytes)?);
        rest = after;
    }
    let (mut marks, mut log) = (BTreeMap::new(), None);
    match *magic {
        MAGIC_1 => {}
        MAGIC_2 | MAGIC => {
            let (number, mut rest) = rest.split_first_chunk::<2>()?;
            for _ in 0..u16::from_be_bytes(*number) {
                let (life, after) = rest.split_first_chunk::<24>()?;
                let (mark, after) = after.split_first_chunk::<8>()?;
                marks.insert(*life, u64::from_be_bytes(*mark));
                rest = after;
            }
            if *magic == MAGIC {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let text = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
                log = Some(std::str::from_utf8(text).ok()?).filter(|text| !text.is_empty()).map(Arc::from);
            }
        }
        _ => return None,
    }
    Some(Note { stamp: u64::from_be_bytes(*stamp), accounts, marks, log })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Reason;

    const LIFE: Incarnation = Incarnation([7; 24]);

    fn source(group: u16) -> SourceId {
        SourceId::nflog(NetnsId::OWN, group)
    }

    fn joined(groups: &[u16]) -> Accounts {
        let mut accounts = Accounts::default();
        for group in groups {
            accounts.join(source(*group), LIFE, Some(&[]));
        }
        accounts
    }

    /// Books packets in a record that is kept as said; returns its note.
    fn booked(accounts: &mut Accounts, group: u16, packets: u64, kept: Kept) -> Note {
        let mut note = Vec::new();
        accounts.record(&Books::packets(source(group), packets), |bytes| {
            note = bytes.to_owned();
            kept
        });
        parse(&note).unwrap()
    }

    fn expected(packets: u64) -> Account {
        let mut account = Account::new(5);
        account.resume(LIFE, &[]);
        account.book(packets);
        account
    }

    #[test]
    fn the_newest_note_is_restored_and_garbage_is_not() {
        let mut accounts = joined(&[5, 7]);
        let old = accounts.note();
        let mut new = Vec::new();
        let log = Some("kmsg b 7".into());
        let books = Books { mark: Some((LIFE, 4)), log: log.clone(), ..Books::packets(source(5), 3) };
        accounts.record(&books, |note| {
            new = note.to_owned();
            Kept::OnDisk
        });
        let mut restored = Accounts::restore([&new[..], &old[..], b"BZA1 nonsense"].into_iter(), &[5, 9]);
        assert_eq!((restored.stamp, restored.marks().get(&LIFE.0)), (2, Some(&4)));
        assert_eq!(restored.log(), log);
        restored.log_stored(1, "older".into());
        assert_eq!(restored.log(), log);
        restored.log_stored(2, "newer".into());
        assert_eq!(restored.log().as_deref(), Some("newer"));
        restored.join(source(5), LIFE, Some(&[]));
        restored.join(source(9), LIFE, Some(&[]));
        // a join settles: what was open is known now, and both start again from there
        let mut before = accounts.live.accounts[&source(5)].clone();
        before.resume(LIFE, &[]);
        assert_eq!(restored.live.accounts[&source(5)], before);
        assert_eq!(restored.live.accounts.len(), 2);
        assert_eq!(restored.forget(), []);
        for cut in 0..new.len() {
            assert!(parse(&new[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn notes_of_the_first_version_are_read() {
        let mut account = Account::new(5);
        account.resume(LIFE, &[]);
        account.book(3);
        let bytes = account.to_bytes();
        let mut note = b"BZA1".to_vec();
        note.extend(9_u64.to_be_bytes());
        note.extend(1_u16.to_be_bytes());
        note.extend((bytes.len() as u16).to_be_bytes());
        note.extend(bytes);
        let restored = Accounts::restore([&note[..]].into_iter(), &[5]);
        assert_eq!((restored.stamp, &restored.stored[..]), (9, &[account][..]));
    }

    #[test]
    fn a_group_has_an_account_for_each_life_of_each_namespace() {
        let mut accounts = joined(&[5]);
        let (other, life) = (SourceId::nflog(NetnsId(1), 5), Incarnation([9; 24]));
        accounts.join(other, life, Some(&[]));
        accounts.record(&Books::packets(other, 2), |_| Kept::OnDisk);
        let note = accounts.note();
        let mut restored = Accounts::restore([&note[..]].into_iter(), &[5]);
        restored.join(SourceId::nflog(NetnsId(4), 5), life, Some(&[]));
        assert_eq!(restored.stored.len(), 1, "the own namespace's has not been taken for it");
        assert_eq!(restored.forget(), [(5, Balance::Even)]);
    }

    #[test]
    fn rows_in_memory_are_left_out_of_notes_until_the_server_has_them() {
        let mut accounts = joined(&[5]);
        booked(&mut accounts, 5, 1, Kept::OnDisk);
        booked(&mut accounts, 5, 10, Kept::InMemory(Seq(1)));
        let note = booked(&mut accounts, 5, 100, Kept::OnDisk);
        assert_eq!(note.accounts, [expected(101)]);
        accounts.memory_is_empty();
        let note = booked(&mut accounts, 5, 0, Kept::OnDisk);
        assert_eq!(note.accounts, [expected(111)]);
    }

    #[test]
    fn what_the_server_has_of_memory_is_in_the_notes_whatever_waits_behind_it() {
        let mut accounts = joined(&[5]);
        let counters = |mark| Books { mark: Some((LIFE, mark)), ..Books::packets(source(5), 1000) };
        accounts.record(&counters(3), |_| Kept::InMemory(Seq(1)));
        booked(&mut accounts, 5, 10, Kept::InMemory(Seq(2)));
        accounts.record(&counters(4), |_| Kept::OnDisk);
        accounts.arrived(Seq(1));
        let note = booked(&mut accounts, 5, 100, Kept::OnDisk);
        assert_eq!((&note.accounts[..], note.marks[&LIFE.0]), (&[expected(2100)][..], 4));
        accounts.arrived(Seq(1));
        accounts.arrived(Seq(2));
        let note = booked(&mut accounts, 5, 0, Kept::OnDisk);
        assert_eq!(note.accounts, [expected(2110)]);
        accounts.memory_is_empty();
        let note = booked(&mut accounts, 5, 0, Kept::OnDisk);
        assert_eq!(note.accounts, [expected(2110)], "and nothing of it twice");
    }

    #[test]
    fn what_is_kept_nowhere_is_not_booked() {
        let mut accounts = joined(&[5]);
        booked(&mut accounts, 5, 1, Kept::OnDisk);
        let lost = Books { mark: Some((LIFE, 1)), ..Books::packets(source(5), 10) };
        accounts.record(&lost, |_| Kept::Nowhere(Reason::SpoolFull));
        assert_eq!(accounts.live.accounts[&source(5)], expected(1));
        assert!(accounts.marks().is_empty());
    }

    #[test]
    fn a_note_stays_within_its_room() {
        let mut accounts = joined(&[5]);
        for netns in 1..2000 {
            let life = Incarnation([(netns % 251) as u8; 24]);
            accounts.join(SourceId::nflog(NetnsId(netns), 5), life, Some(&[]));
        }
        let note = accounts.note();
        assert!(note.len() <= 64 << 10, "{}", note.len());
        let read = parse(&note).unwrap();
        assert!(read.accounts.len() > 500 && read.accounts[0].incarnation() == LIFE);
    }
}
