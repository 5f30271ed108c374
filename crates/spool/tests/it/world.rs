//! The ideal model: what was appended, what is durable, and a server that commits each batch once.
//!
//! The weight of a record depends on its number only, so that a record which comes back although its append had
//! failed (documented) needs no rule of its own.

use crate::model_fs::{Failure, ModelFs};
use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{AppendError, Cause, Config, Head, Item, Spool};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

type Name = (u64, u64);

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append(usize),
    Sync,
    Read(u32),
    Commit(u32),
    Ack,
    DropOldest,
    Kill,
    PowerCut(u64),
    Fail(Failure),
    DiskLeft(Option<usize>),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let errno =
        prop_oneof![Just(crate::model_fs::EIO), Just(crate::model_fs::ENOSPC), Just(crate::model_fs::EDQUOT)];
    prop_oneof![
        12 => (0_usize..300).prop_map(Step::Append),
        6 => Just(Step::Sync),
        6 => (1_u32..6).prop_map(Step::Read),
        4 => (1_u32..6).prop_map(Step::Commit),
        4 => Just(Step::Ack),
        2 => Just(Step::DropOldest),
        2 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::PowerCut),
        3 => (0_u32..12, 1_u32..5, errno).prop_map(|(wait, times, errno)| Step::Fail(Failure { wait, times, errno })),
        1 => proptest::option::of(0_usize..600).prop_map(Step::DiskLeft),
    ]
}

pub(crate) fn config() -> Config {
    Config {
        dir: "/spool".into(),
        segment_bytes: 700,
        budget_bytes: 6_000,
        sync_bytes: 600,
        sync_interval: Duration::from_millis(200),
    }
}

pub(crate) const fn weight_of(seq: u64) -> u64 {
    seq * 7 % 13 + 1
}

pub(crate) fn payload_of(id: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (id.wrapping_mul(31).wrapping_add(i * i)) as u8).collect()
}

pub(crate) struct World {
    pub(crate) fs: ModelFs,
    pub(crate) config: Config,
    pub(crate) spool: Option<Spool<ModelFs>>,
    now: Instant,
    lives: u64,
    contents: u64,
    /// Every content that was ever offered under a name.
    offered: BTreeMap<Name, Vec<(u64, usize)>>,
    /// SP-1: to be stored or dropped in the end.
    durable: BTreeSet<Name>,
    dropped: BTreeSet<Name>,
    /// SP-3: the content that each name was read with.
    handed: BTreeMap<Name, Vec<u8>>,
    /// SP-5: for each life, its first number, and its last one as the next life found it.
    ranges: Vec<(u64, u64)>,
    last_note: Option<Vec<u8>>,
    read_failures: u32,
    sent: Seq,
    ever_sent: Seq,
    in_flight: VecDeque<Item>,
    committed: Option<(Epoch, Seq)>,
    marks: BTreeMap<u64, u64>,
    stored: BTreeMap<Name, u64>,
    lost_weight: u64,
}

impl World {
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        let mut world = Self {
            fs: ModelFs::new(seed),
            config,
            spool: None,
            now: Instant::now(),
            lives: 0,
            contents: 0,
            offered: BTreeMap::new(),
            durable: BTreeSet::new(),
            dropped: BTreeSet::new(),
            handed: BTreeMap::new(),
            ranges: Vec::new(),
            last_note: None,
            read_failures: 0,
            sent: Seq::ZERO,
            ever_sent: Seq::ZERO,
            in_flight: VecDeque::new(),
            committed: None,
            marks: BTreeMap::new(),
            stored: BTreeMap::new(),
            lost_weight: 0,
        };
        world.open();
        world
    }

    /// A new life. Opening may fail while the disk does, and then works (P4).
    pub(crate) fn open(&mut self) {
        for _ in 0..20 {
            self.lives += 1;
            // In no order, as random ones are.
            let epoch = Epoch(self.lives.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            match Spool::open(self.config.clone(), self.fs.clone(), epoch, self.now) {
                Ok((spool, recovery)) => {
                    if let Some((first, last)) = self.ranges.last_mut() {
                        *last = recovery.last.0.max(*first - 1);
                    }
                    assert!(recovery.last.0 + 1 >= self.ranges.last().map_or(1, |r| r.1 + 1), "SP-2");
                    self.ranges.push((recovery.last.0 + 1, recovery.last.0));
                    assert_eq!(recovery.foreign_files, 0);
                    self.check_note(&spool, recovery.last.0);
                    self.sent = spool.acknowledged();
                    self.read_failures = 0;
                    self.in_flight.clear();
                    self.committed = None;
                    self.spool = Some(spool);
                    return;
                }
                Err(error) if self.fs.crashed() => panic!("crashed while opening: {error}"),
                Err(_) => self.fs.heal(),
            }
        }
        panic!("P4: the spool does not open");
    }

    pub(crate) fn close(&mut self) {
        self.spool = None;
    }

    /// SP-6: the note is that of the newest record found.
    fn check_note(&self, spool: &Spool<ModelFs>, last: u64) {
        let note = spool.last_note().map(<[u8]>::to_vec);
        let newest_durable = self.durable.iter().map(|n| n.1).max().unwrap_or(0);
        if last > 0 && newest_durable > 0 {
            let note = note.expect("SP-6: a note");
            let seq = u64::from_le_bytes(note[..8].try_into().unwrap());
            assert!(
                seq >= newest_durable && seq <= last,
                "SP-6: note of {seq}, durable {newest_durable}, last {last}"
            );
        }
    }

    /// Carries out a step; `false` if the process died on the way.
    pub(crate) fn take(&mut self, step: &Step) -> bool {
        self.now += Duration::from_millis(50);
        match *step {
            Step::Append(len) => self.append(len),
            Step::Sync => _ = self.spool().sync_at(),
            Step::Read(n) => self.read(n),
            Step::Commit(n) => self.commit(n),
            Step::Ack => {
                if let Some((epoch, seq)) = self.committed {
                    self.spool().acknowledge(epoch, seq);
                }
            }
            Step::DropOldest => self.drop_oldest(),
            Step::Kill => {
                self.close();
                self.fs.kill();
                self.open();
            }
            Step::PowerCut(seed) => {
                self.close();
                self.fs.power_cut(seed);
                self.open();
            }
            Step::Fail(_) if self.read_failures >= 3 => {}
            Step::Fail(failure) => self.fs.fail(Some(failure)),
            Step::DiskLeft(left) => self.fs.set_capacity(left.map(|left| self.fs.used() + left)),
        }
        self.note_durable();
        self.spool().check().unwrap();
        !self.fs.crashed()
    }

    fn spool(&mut self) -> &mut Spool<ModelFs> {
        self.spool.as_mut().unwrap()
    }

    fn append(&mut self, len: usize) {
        self.contents += 1;
        let (id, now) = (self.contents, self.now);
        let spool = self.spool.as_mut().unwrap();
        let seq = spool.last().0 + 1;
        let name = (spool.epoch().0, seq);
        self.offered.entry(name).or_default().push((id, len));
        let mut note = seq.to_le_bytes().to_vec();
        note.resize(8 + len % 20, 0xAA);
        let head = Head { kind: Kind::Events, weight: weight_of(seq), note: &note };
        match spool.append(head, &payload_of(id, len), now) {
            Ok(taken) => {
                assert_eq!(taken, Seq(seq), "SP-2: numbers rise by one");
                assert_eq!(spool.last_note(), Some(&note[..]));
                self.last_note = Some(note);
            }
            Err(error) => {
                assert_eq!(spool.last().0 + 1, seq, "a failed append takes nothing");
                let expected = matches!(error, AppendError::Full { .. } | AppendError::Disk(_));
                assert!(expected, "{error}");
            }
        }
    }

    fn note_durable(&mut self) {
        let spool = self.spool.as_ref().unwrap();
        let (epoch, durable) = (spool.epoch().0, spool.durable().0);
        let range = self.ranges.last_mut().unwrap();
        for seq in (range.0..=durable).rev() {
            if !self.durable.insert((epoch, seq)) {
                break;
            }
            // Only the last content offered may be read from now on; earlier ones had failed.
            let offered = self.offered.get_mut(&(epoch, seq)).unwrap();
            offered.drain(..offered.len() - 1);
        }
    }

    fn read(&mut self, n: u32) {
        for _ in 0..n {
            let after = self.sent;
            let spool = self.spool();
            let result = spool.read(after);
            if self.fs.crashed() {
                return;
            }
            if result.is_err() {
                // What fails three times in a row is given up as damage; that is not what is tested here.
                self.read_failures += 1;
                if self.read_failures == 3 {
                    self.fs.fail(None);
                }
            } else {
                self.read_failures = 0;
            }
            let Ok(Some(item)) = result else { return };
            assert!(item.last() > after, "SP-2: {item:?} read after {after:?}");
            assert!(item.last() <= self.spool().durable(), "SP-4");
            if let Item::Record(record) = &item {
                let name = (record.epoch.0, record.seq.0);
                assert_eq!(record.weight, weight_of(record.seq.0));
                assert_eq!(record.note[..8], record.seq.0.to_le_bytes());
                let contents = &self.offered[&name];
                let known = contents.iter().any(|&(id, len)| payload_of(id, len) == record.payload);
                assert!(known, "a content that was never appended under {name:?}");
                let before = self.handed.entry(name).or_insert_with(|| record.payload.clone());
                assert_eq!(*before, record.payload, "SP-3: {name:?} names two contents");
            }
            self.sent = item.last();
            self.ever_sent = self.ever_sent.max(self.sent);
            self.in_flight.push_back(item);
        }
    }

    /// The server commits what comes in order, each batch once.
    fn commit(&mut self, n: u32) {
        for _ in 0..n {
            let Some(item) = self.in_flight.pop_front() else { return };
            let (epoch, last) = (item.epoch(), item.last());
            self.committed = Some((epoch, last));
            let mark = self.marks.entry(epoch.0).or_default();
            if last.0 <= *mark {
                continue;
            }
            match &item {
                Item::Record(record) => _ = self.stored.insert((epoch.0, last.0), record.weight),
                Item::Hole(hole) => {
                    for seq in hole.first.0.max(*mark + 1)..=last.0 {
                        let name = (epoch.0, seq);
                        let accounted = !self.durable.contains(&name) || self.dropped.contains(&name);
                        assert!(accounted, "SP-1: {name:?} is in {hole:?}");
                    }
                    assert!(hole.cause == Cause::Damaged || hole.weight > 0);
                    self.lost_weight += hole.weight;
                }
            }
            *mark = last.0;
        }
    }

    fn drop_oldest(&mut self) {
        let after = self.ever_sent;
        let result = self.spool().drop_oldest(after);
        if let Ok(Some(dropped)) = result {
            assert!(dropped.first > after);
            let range = dropped.first.0..=dropped.last.0;
            self.dropped.extend(self.durable.iter().copied().filter(|n| range.contains(&n.1)));
        }
    }

    /// Lets everything arrive on a healthy disk and compares the sums.
    pub(crate) fn drain_and_check(&mut self) {
        self.close();
        self.fs.heal();
        self.open();
        self.drain();
        let spool = self.spool();
        assert_eq!(spool.backlog().records, 0);
        assert_eq!(spool.read(Seq::ZERO).unwrap(), None);
        for name in &self.durable {
            let arrived = self.stored.contains_key(name) || self.dropped.contains(name);
            assert!(arrived, "SP-1: {name:?} was durable and is lost; ranges {:?}", self.ranges);
        }
        let appended: u64 = self.ranges.iter().flat_map(|r| r.0..=r.1).map(weight_of).sum();
        let stored: u64 = self.stored.values().sum();
        assert_eq!(appended, stored + self.lost_weight, "SP-5: stored {stored}, lost {}", self.lost_weight);
    }

    /// Syncs, reads, commits and acknowledges until nothing is left.
    pub(crate) fn drain(&mut self) {
        self.fs.heal();
        self.spool().sync_at().unwrap();
        self.note_durable();
        self.ranges.last_mut().unwrap().1 = self.spool().last().0;
        loop {
            let sent = self.sent;
            self.read(1);
            if self.sent == sent {
                break;
            }
            self.commit(u32::MAX);
            self.take(&Step::Ack);
        }
        self.commit(u32::MAX);
        self.take(&Step::Ack);
    }
}

trait SyncAt {
    fn sync_at(&mut self) -> Result<(), bartizan_spool::DiskError>;
}

impl SyncAt for Spool<ModelFs> {
    fn sync_at(&mut self) -> Result<(), bartizan_spool::DiskError> {
        self.sync(Instant::now())
    }
}
