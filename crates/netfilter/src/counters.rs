//! What the kernel counts for the ruleset: rules, policies, counter objects, elements of sets, nfnetlink_acct.
//!
//! Nothing is reset by reading. A reading is taken behind the barrier of [`crate::Nftables`] and within one
//! generation, so that every rule of that generation is in it; the counters go on counting while it is taken, and
//! each is right at the moment when it was read.

use crate::{
    NetfilterError, Nftables, Question,
    nftables::{ATTEMPTS, Tables},
};
use bartizan_decode::{
    conntrack::{self, Flow},
    nftables::{self, Count, Elements, SetKey},
};

/// More readings than that are not taken: the agent's memory is bounded.
const MAX_READINGS: usize = 100_000;

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CounterKind {
    /// A rule, with its first counter.
    Rule,
    /// The policy of a chain.
    Policy,
    /// A named counter.
    Object,
    /// An element of a set or map.
    Element,
    /// An object of nfnetlink_acct.
    Accounting,
}

impl CounterKind {
    /// The word of the column `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Policy => "policy",
            Self::Object => "counter",
            Self::Element => "element",
            Self::Accounting => "nfacct",
        }
    }
}

/// What one counter shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterReading {
    /// What counts.
    pub kind: CounterKind,
    /// `NFPROTO_*` of the table; 0 for nfnetlink_acct.
    pub family: u8,
    /// The table.
    pub table: String,
    /// The number of that table's life; 0 where the kernel does not tell.
    pub table_handle: u64,
    /// The chain of a rule or policy.
    pub chain: String,
    /// The number of the rule, chain, object or set in its table.
    pub handle: u64,
    /// The name of the counter, set or nfnetlink_acct object.
    pub name: String,
    /// The element, as nft writes it.
    pub element: String,
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
}

impl CounterReading {
    fn new(kind: CounterKind, family: u8, table: &[u8], handle: u64, count: Count) -> Self {
        Self {
            kind,
            family,
            table: text(table),
            table_handle: 0,
            chain: String::new(),
            handle,
            name: String::new(),
            element: String::new(),
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A set whose elements are asked for.
struct Set {
    family: u8,
    table: String,
    name: String,
    handle: u64,
    key: SetKey,
}

impl Nftables {
    /// Every counter of the network namespace. What this kernel does not have is not among them.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`; [`NetfilterError::KeepsChanging`] when the
    /// ruleset changes faster than it can be read.
    pub fn counters(&mut self) -> Result<Vec<CounterReading>, NetfilterError> {
        for _ in 0..ATTEMPTS {
            self.barrier()?;
            let Some(generation) = self.generation()? else { return self.accounting() };
            let Some(mut readings) = self.ruleset_counters()? else { continue };
            if self.generation()? == Some(generation) {
                readings.append(&mut self.accounting()?);
                return Ok(readings);
            }
        }
        Err(NetfilterError::KeepsChanging { attempts: ATTEMPTS })
    }

    /// Asks for the tracked connections of a family (0: all) and gives each to `each`; false when the list is not
    /// whole and is to be asked for again. A connection that moves in the kernel's table meanwhile can be missed
    /// or come twice.
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel does not track connections.
    pub fn connections(
        &mut self,
        family: u8,
        mut each: impl FnMut(&Flow<'_>),
    ) -> Result<bool, NetfilterError> {
        let question = Question::Connections { family };
        let asked = self.ask(&question, |message| {
            if let Some(flow) = conntrack::parse(message) {
                each(&flow);
            }
        });
        match asked {
            Err(e) if e.is_missing() => Err(NetfilterError::NotSupported { operation: question.operation() }),
            other => other,
        }
    }

    /// `None` when a change came between.
    fn ruleset_counters(&mut self) -> Result<Option<Vec<CounterReading>>, NetfilterError> {
        let Some(tables) = self.tables()? else { return Ok(None) };
        let mut readings = Vec::new();
        let mut sets = Vec::new();
        for question in [Question::Chains, Question::Rules, Question::Objects, Question::Sets] {
            let whole = self.ask(&question, |message| {
                if let Some(rule) = nftables::counted_rule(message) {
                    let kind = CounterKind::Rule;
                    let reading = CounterReading::new(kind, rule.family, rule.table, rule.handle, rule.count);
                    push(&mut readings, CounterReading { chain: text(rule.chain), ..reading });
                } else if let Some(chain) = nftables::policy_counter(message) {
                    let kind = CounterKind::Policy;
                    let reading =
                        CounterReading::new(kind, chain.family, chain.table, chain.handle, chain.value);
                    push(&mut readings, CounterReading { chain: text(chain.name), ..reading });
                } else if let Some(object) = nftables::counter_object(message) {
                    let kind = CounterKind::Object;
                    let reading =
                        CounterReading::new(kind, object.family, object.table, object.handle, object.value);
                    push(&mut readings, CounterReading { name: text(object.name), ..reading });
                } else if let Some(set) = nftables::counting_set(message) {
                    let (table, name) = (text(set.table), text(set.name));
                    sets.push(Set { family: set.family, table, name, handle: set.handle, key: set.value });
                }
            });
            match whole {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // Objects came with Linux 4.10.
                Err(e) if e.is_missing() && question == Question::Objects => {}
                Err(e) => return Err(e),
            }
        }
        for set in &sets {
            if !self.elements(set, &mut readings)? {
                return Ok(None);
            }
        }
        number_tables(&mut readings, &tables);
        Ok(Some(readings))
    }

    fn elements(&mut self, set: &Set, readings: &mut Vec<CounterReading>) -> Result<bool, NetfilterError> {
        let question =
            Question::Elements { family: set.family, table: set.table.clone(), set: set.name.clone() };
        let mut elements = Elements::new(set.key);
        match self.ask(&question, |message| elements.take(message)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(e) if e.is_gone() => return Ok(false),
            Err(e) => return Err(e),
        }
        for element in elements.finish() {
            let kind = CounterKind::Element;
            let reading =
                CounterReading::new(kind, set.family, set.table.as_bytes(), set.handle, element.count);
            push(readings, CounterReading { name: set.name.clone(), element: element.text, ..reading });
        }
        Ok(true)
    }

    /// The objects of nfnetlink_acct; none where the kernel does not have it.
    fn accounting(&mut self) -> Result<Vec<CounterReading>, NetfilterError> {
        for _ in 0..ATTEMPTS {
            let mut readings = Vec::new();
            let whole = self.ask(&Question::Accounting, |message| {
                if let Some(account) = nftables::account(message) {
                    let reading = CounterReading::new(CounterKind::Accounting, 0, b"", 0, account.count);
                    push(&mut readings, CounterReading { name: text(account.name), ..reading });
                }
            });
            match whole {
                Ok(true) => return Ok(readings),
                Ok(false) => {}
                Err(e) if e.is_missing() => return Ok(Vec::new()),
                Err(e) => return Err(e),
            }
        }
        Err(NetfilterError::KeepsChanging { attempts: ATTEMPTS })
    }
}

fn push(readings: &mut Vec<CounterReading>, reading: CounterReading) {
    if readings.len() < MAX_READINGS {
        readings.push(reading);
    }
}

fn number_tables(readings: &mut [CounterReading], tables: &Tables) {
    for reading in readings {
        let handle = tables.get(&(reading.family, reading.table.clone()));
        reading.table_handle = handle.copied().unwrap_or(0);
    }
}
