//! The account of a group: what its rules counted against what was recorded.
//!
//! The kernel's sequence numbers show every hole between two packets, but not what is missing behind the last
//! one, nor what was logged while nobody listened. The rules' counters do: once a group is quiet, each packet
//! that was counted was either recorded, or is in the ledger, or was never delivered and has to go there now.
//!
//! ```text
//! counted   = growth of the counters of the group's rules since the baseline
//! accounted = rows recorded + losses in the ledger since the baseline
//! counted - accounted > 0 when nothing can be on its way  ->  that many were not delivered
//! ```
//! Each time nothing can be on its way, the baseline moves there and both sums start again from 0.
//!
//! **When nothing can be on its way.** [`Account::resume`] says so at once: its readings are taken before the
//! socket is bound, and what was on its way to an earlier socket died with it. [`Account::observe`] finds out
//! by waiting: two readings at least `quiet` apart, at both of them the socket was found empty, and between
//! them neither a counter nor the account moved. `quiet` has to be longer than the group's flush timeout, which
//! is how long the kernel may hold a packet back; twice that and at least half a second is good.
//!
//! **The first baseline** is read before the socket is bound, too. So there is no race between counting and
//! listening: what is counted after the reading and before the bind is not delivered, and is found missing.
//!
//! **Over restarts.** The agent stores [`Account::to_bytes`] in every record of its spool, taken at the moment
//! when the record is sealed and after the rows and losses in it were booked. After a crash the account of the
//! newest record is exactly the account of what was recorded, and the counters say the rest.
//!
//! **The tail.** What [`Balance::Missing`] found behind the last packet shows a second time, as a hole in front of
//! the next packet of the same socket. [`Account::hole`] tells how much of a hole is not in the ledger yet. Every
//! hole has to go through it, before the rows behind it are booked.
//!
//! **Doubt.** Some changes hide how much was counted. The account then carries the most that may have been
//! counted unseen (`doubt`), and rows beyond what was counted are taken for those, as far as the doubt goes;
//! it ends at the next settlement. A doubt can hide a loss; it never invents one:
//! - a rule appears: its counter may have been restored from a file (`counter packets
//!   5 ...`), or it may have counted all of that just now;
//! - a rule disappears: it may have counted any number after its last reading;
//! - a counter went back: it was reset, and counts again from 0, but may have counted any number before;
//! - a rule of the group has no counter of its own beside its log statement.
//!
//! A rule is known by family, life of the table and handle, so that a table which was loaded anew is a new
//! table even where its handles are the old ones. The readings belong to one [`Incarnation`]; after a reboot
//! the rules are new.
//!
//! What it does not do: know of rules that nf_tables does not list (iptables-legacy). Their packets are rows
//! that nothing counted: [`Balance::Excess`].

use crate::{Counter, LogRule};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    time::Duration,
};

/// The life of a network namespace: the boot id and the namespace's inode. Counters of another one have
/// nothing to do with this one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incarnation(pub [u8; 24]);

/// What a reading showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Packets may be on their way: ask again.
    Unsettled,
    /// Every packet that was counted is accounted for.
    Even,
    /// So many packets were counted and never delivered. They are booked: write them to the ledger.
    Missing(u64),
    /// So many more packets were recorded than counted: something logs to the group that no counter sees.
    /// Nothing is reconciled up to now; the account starts again from here.
    Excess(u64),
    /// A rule of the group cannot be reconciled, so that nothing is known.
    Unknown,
}

/// One rule in one [`Incarnation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RuleKey {
    family: u8,
    /// The table's handle, or on kernels without one a hash of its name with the top bit set.
    table: u64,
    handle: u64,
}

/// No limit to what may have been counted unseen.
const ANY: u64 = u64::MAX;
/// More rules than that in one group are not reconciled, so that an account stays small enough to be stored
/// with every record.
const MAX_RULES: usize = 1024;

/// The account of one group. See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    group: u16,
    incarnation: Incarnation,
    /// Last reading of each rule.
    rules: BTreeMap<RuleKey, u64>,
    counted: u64,
    accounted: u64,
    doubt: u64,
    /// Found missing since the last packet came: the hole before the next packet shows them again.
    tail: u64,
    /// A settlement with a doubt since the last packet came: that hole may show what was lost unseen.
    unseen: bool,
    /// Since when nothing has moved. Not stored: after a restart nothing is known of it.
    still: Option<Still>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Still {
    since: Duration,
    accounted: u64,
}

impl Account {
    /// The account of a group that was never listened to. [`Account::resume`] is the next step.
    #[must_use]
    pub const fn new(group: u16) -> Self {
        Self {
            group,
            incarnation: Incarnation([0; 24]),
            rules: BTreeMap::new(),
            counted: 0,
            accounted: 0,
            doubt: 0,
            tail: 0,
            unseen: false,
            still: None,
        }
    }

    /// Its group.
    #[must_use]
    pub const fn group(&self) -> u16 {
        self.group
    }

    /// The life of the namespace that its readings belong to.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Takes a hole of `gap` numbers in the sequence, and tells how many of them are a loss that is not in the
    /// ledger yet: the rest is the tail that [`Balance::Missing`] told. Write so many to the ledger and
    /// [`Account::book`] them; nothing is booked here.
    #[must_use = "what is new has to be written to the ledger and booked"]
    pub const fn hole(&mut self, gap: u64) -> u64 {
        let new = gap.saturating_sub(self.tail);
        if self.unseen {
            self.doubt = self.doubt.saturating_add(new);
        }
        (self.tail, self.unseen) = (0, false);
        new
    }

    /// Books packets that were recorded as rows, or that are in the ledger: what was new of a hole, messages that
    /// could not be read. Not what [`Balance::Missing`] told; that is booked already.
    pub const fn book(&mut self, packets: u64) {
        if packets > 0 {
            self.accounted = self.accounted.saturating_add(packets);
            (self.tail, self.unseen) = (0, false);
        }
    }

    /// Packets that were counted by the last reading and are not accounted for; part of them may be on the way.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.counted.saturating_sub(self.accounted)
    }

    /// Takes the readings of a start: `rules` were read **before** the group was bound anew. Of all rules
    /// given, only those of this group matter.
    ///
    /// Rules that are known from the stored account and the same incarnation go on from their last reading, so
    /// that what they counted while nobody listened is found. All others start from this reading.
    pub fn resume(&mut self, incarnation: Incarnation, rules: &[LogRule]) -> Balance {
        if self.incarnation != incarnation {
            // What was counted in the old life can be missing, but no more can be learned of it.
            self.incarnation = incarnation;
            self.rules.clear();
            self.doubt = ANY;
        }
        // The new socket's sequence starts again.
        (self.tail, self.unseen) = (0, false);
        let (readings, sound) = self.readings(rules);
        self.take(readings, sound);
        self.settle(sound)
    }

    /// Takes a reading while the group is bound. Of all rules given, only those of this group matter.
    ///
    /// `at` is the moment of the reading on a clock that never goes back; `idle` says that the socket was
    /// found empty just before this reading and all packets received until then are booked.
    pub fn observe(&mut self, rules: &[LogRule], at: Duration, idle: bool, quiet: Duration) -> Balance {
        let (readings, sound) = self.readings(rules);
        let moved = readings != self.rules;
        self.take(readings, sound);
        let still = self.still.filter(|s| idle && !moved && s.accounted == self.accounted);
        match still {
            Some(still) if at.saturating_sub(still.since) >= quiet => {
                let doubted = self.doubt > 0;
                let balance = self.settle(sound);
                self.unseen |= doubted || matches!(balance, Balance::Excess(_));
                if let Balance::Missing(n) = balance {
                    self.tail = self.tail.saturating_add(n);
                }
                self.still = Some(Still { since: still.since, accounted: self.accounted });
                balance
            }
            Some(_) => Balance::Unsettled,
            None => {
                self.still = idle.then_some(Still { since: at, accounted: self.accounted });
                Balance::Unsettled
            }
        }
    }

    /// The readings of this group's rules, and whether they are all that logs to the group.
    fn readings(&self, rules: &[LogRule]) -> (BTreeMap<RuleKey, u64>, bool) {
        let mut readings = BTreeMap::new();
        let mut sound = true;
        for rule in rules.iter().filter(|r| r.group == self.group) {
            match rule.counter {
                Some(Counter::Packets(packets)) if rule.reconcilable && readings.len() < MAX_RULES => {
                    readings.insert(RuleKey::of(rule), packets);
                }
                _ => sound = false,
            }
        }
        (readings, sound)
    }

    /// Adds what the readings show.
    fn take(&mut self, readings: BTreeMap<RuleKey, u64>, sound: bool) {
        let gone = self.rules.keys().any(|key| !readings.contains_key(key));
        if gone || !sound {
            self.doubt = ANY;
        }
        for (key, packets) in &readings {
            match self.rules.get(key) {
                Some(last) if packets >= last => self.counted = self.counted.saturating_add(packets - last),
                Some(_) => {
                    self.counted = self.counted.saturating_add(*packets);
                    self.doubt = ANY;
                }
                None => self.doubt = self.doubt.saturating_add(*packets),
            }
        }
        self.rules = readings;
    }

    /// Nothing is on its way: balances the account and moves the baseline here.
    fn settle(&mut self, sound: bool) -> Balance {
        self.still = None;
        if !sound {
            return Balance::Unknown;
        }
        let balance = match self.counted.checked_sub(self.accounted) {
            Some(0) => Balance::Even,
            Some(missing) => Balance::Missing(missing),
            None => match (self.accounted - self.counted).saturating_sub(self.doubt) {
                0 => Balance::Even,
                excess => Balance::Excess(excess),
            },
        };
        (self.counted, self.accounted, self.doubt) = (0, 0, 0);
        balance
    }
}

impl RuleKey {
    fn of(rule: &LogRule) -> Self {
        let table = match rule.table_handle {
            0 => BuildHasherDefault::<Fnv>::default().hash_one(rule.table.as_bytes()) | 1 << 63,
            handle => handle,
        };
        Self { family: rule.family.0, table, handle: rule.handle }
    }
}

/// FNV-1a, because the hash is stored and has to be the same in every build.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

const MAGIC: [u8; 4] = *b"BzA\x01";
const RULE_LEN: usize = 1 + 3 * 8;

/// Layout, big endian: magic and version (4), group u16, incarnation (24), counted u64, accounted u64, doubt
/// u64, tail u64, unseen u8, number of rules u16, then for each rule in rising order family u8, table u64, handle u64, reading u64.
impl Account {
    /// The account as bytes, 65 and 25 for each rule.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(65 + RULE_LEN * self.rules.len());
        out.extend(MAGIC);
        out.extend(self.group.to_be_bytes());
        out.extend(self.incarnation.0);
        for n in [self.counted, self.accounted, self.doubt, self.tail] {
            out.extend(n.to_be_bytes());
        }
        out.push(u8::from(self.unseen));
        let rules = u16::try_from(self.rules.len()).expect("at most MAX_RULES rules are taken");
        out.extend(rules.to_be_bytes());
        for (key, reading) in &self.rules {
            out.push(key.family);
            for n in [key.table, key.handle, *reading] {
                out.extend(n.to_be_bytes());
            }
        }
        out
    }

    /// The account that [`Account::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = bytes;
        if take(&mut input)? != MAGIC {
            return None;
        }
        let group = u16::from_be_bytes(take(&mut input)?);
        let incarnation = Incarnation(take(&mut input)?);
        let [counted, accounted, doubt, tail] = numbers(&mut input)?;
        let unseen = match take(&mut input)? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let count = usize::from(u16::from_be_bytes(take(&mut input)?));
        if count > MAX_RULES || input.len() != count * RULE_LEN {
            return None;
        }
        let mut rules = BTreeMap::new();
        for _ in 0..count {
            let [family] = take(&mut input)?;
            let [table, handle, reading] = numbers(&mut input)?;
            let key = RuleKey { family, table, handle };
            if rules.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return None;
            }
            rules.insert(key, reading);
        }
        Some(Self { group, incarnation, rules, counted, accounted, doubt, tail, unseen, still: None })
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

fn numbers<const N: usize>(input: &mut &[u8]) -> Option<[u64; N]> {
    let mut out = [0; N];
    for n in &mut out {
        *n = u64::from_be_bytes(take(input)?);
    }
    Some(out)
}
