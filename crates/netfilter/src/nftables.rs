//! nf_tables: the rules that log, with their counters, and the generation of the ruleset.
//!
//! A dump of the kernel is not one moment: a change of the ruleset during a dump is flagged (`NLM_F_DUMP_INTR`)
//! or seen in the generation, and the dump is asked for again. Counters go on counting meanwhile; each is right
//! at the moment when its rule was read.
//!
//! One change is neither flagged nor seen: the kernel raises the generation before it takes the old rules out
//! of their lists, and a dump that runs just then skips some. So a dump starts behind a barrier: an empty
//! transaction, which changes nothing (no generation, no notice to `nft monitor`) and waits until a running
//! one has ended.
//!
//! The first reading dumps the whole ruleset, about 10 ms of CPU for 1,000 rules. While the generation stays
//! what it was, later readings ask for the log rules alone, one by one.

use crate::{
    NetfilterError,
    message::{Answer, PATIENCE, next_datagram},
    question::{Asker, Question, SendQuestion},
};
use bartizan_decode::netlink::{Message, Messages, NLM_F_DUMP_INTR};
use bartizan_ruleset::LogRule;
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

pub(crate) const NFNL_SUBSYS_NFTABLES: u8 = 10;
pub(crate) const NFNL_MSG_BATCH_BEGIN: u8 = 16;
pub(crate) const NFNL_MSG_BATCH_END: u8 = 17;
const NFT_MSG_NEWTABLE: u8 = 0;
pub(crate) const NFT_MSG_GETTABLE: u8 = 1;
const NFT_MSG_NEWRULE: u8 = 6;
pub(crate) const NFT_MSG_GETRULE: u8 = 7;
const NFT_MSG_NEWGEN: u8 = 15;
pub(crate) const NFT_MSG_GETGEN: u8 = 16;
pub(crate) const NFTA_RULE_TABLE: u16 = 1;
pub(crate) const NFTA_RULE_CHAIN: u16 = 2;
pub(crate) const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_GEN_ID: u16 = 1;

/// With more log rules than that the whole ruleset is asked for each time.
const MAX_KNOWN: usize = 256;
const ATTEMPTS: u32 = 20;
/// The kernel fills dumps in parts of at most 32 KiB (`NLMSG_GOODSIZE`) or what the reader last offered.
const PART: usize = 64 * 1024;
/// Enough for the parts that the kernel makes ahead.
pub(crate) const RECEIVE_BUFFER: usize = 1 << 20;
/// A ruleset with more log rules than that is cut; the agent's memory is bounded.
const MAX_RULES: usize = 100_000;

/// Questions to nf_tables and their answers, in one network namespace.
pub struct Nftables {
    answers: OwnedFd,
    send: SendQuestion,
    seq: u32,
    buf: Vec<u8>,
    known: Option<Known>,
}

impl std::fmt::Debug for Nftables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nftables")
            .field("answers", &self.answers)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// The log rules of a generation.
#[derive(Debug)]
struct Known {
    generation: u32,
    rules: Vec<LogRule>,
}

/// The rules that log to a group, once. See [`Nftables::log_rules`].
///
/// # Errors
/// As [`Nftables::open`] and [`Nftables::log_rules`].
pub fn log_rules() -> Result<Vec<LogRule>, NetfilterError> {
    match Nftables::open() {
        Ok(mut nftables) => nftables.log_rules(),
        Err(NetfilterError::NotSupported { .. }) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

impl Nftables {
    /// Both halves here, in the network namespace of this thread.
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel has no nfnetlink at all.
    pub fn open() -> Result<Self, NetfilterError> {
        let (asker, answers) = Asker::open()?;
        Ok(Self::new(answers, Box::new(move |question, seq| asker.send(question, seq))))
    }

    /// Reads the answers to questions that `send` sends, which needs rights that this half need not have.
    #[must_use]
    pub fn new(answers: OwnedFd, send: SendQuestion) -> Self {
        Self { answers, send, seq: 0, buf: vec![0; PART], known: None }
    }

    /// The rules of every family that log to a group, with their counters. Empty where nf_tables is not loaded.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`; [`NetfilterError::KeepsChanging`] when the
    /// ruleset changes faster than it can be read.
    pub fn log_rules(&mut self) -> Result<Vec<LogRule>, NetfilterError> {
        for _ in 0..ATTEMPTS {
            let Some(generation) = self.generation()? else { return Ok(Vec::new()) };
            let known = self.known.take().filter(|k| k.generation == generation);
            let (generation, rules) = match known {
                Some(known) => (Some(generation), self.some_rules(&known.rules)?),
                None => {
                    self.barrier()?;
                    (self.generation()?, self.all_rules()?)
                }
            };
            let (Some(generation), Some(rules)) = (generation, rules) else { continue };
            if self.generation()? == Some(generation) {
                if rules.len() <= MAX_KNOWN {
                    self.known = Some(Known { generation, rules: rules.clone() });
                }
                return Ok(rules);
            }
        }
        Err(NetfilterError::KeepsChanging { attempts: ATTEMPTS })
    }

    /// Waits until a change that is being made is made. See the module's text.
    fn barrier(&mut self) -> Result<(), NetfilterError> {
        self.seq = self.seq.wrapping_add(1);
        // It is carried out inside `send`. A refusal comes as a message that nobody waits for: the dump behind
        // it is refused as well.
        (self.send)(&Question::Barrier, self.seq)
    }

    /// Dumps tables and rules; `None` when that was interrupted by a change.
    fn all_rules(&mut self) -> Result<Option<Vec<LogRule>>, NetfilterError> {
        let mut tables = BTreeMap::new();
        let whole = self.ask(&Question::Tables, |message| {
            if let Some((family, name, handle)) = table(message) {
                tables.insert((family, name), handle);
            }
        })?;
        if !whole {
            return Ok(None);
        }
        let mut rules = Vec::new();
        let whole = self.ask(&Question::Rules, |message| {
            if message.subtype() == NFT_MSG_NEWRULE && rules.len() < MAX_RULES {
                rules.extend(bartizan_ruleset::log_rules(message));
            }
        })?;
        for rule in &mut rules {
            let handle = tables.get(&(rule.family.0, rule.table.clone()));
            rule.table_handle = handle.copied().unwrap_or(0);
        }
        Ok(whole.then_some(rules))
    }

    /// Reads known rules again, one by one; `None` when one is gone.
    fn some_rules(&mut self, known: &[LogRule]) -> Result<Option<Vec<LogRule>>, NetfilterError> {
        let mut rules: Vec<LogRule> = Vec::with_capacity(known.len());
        let place = |rule: &LogRule| (rule.family, rule.table_handle, rule.handle);
        for rule in known {
            // A rule that logs to two groups is known twice and comes with both.
            if rules.last().is_some_and(|last| place(last) == place(rule)) {
                continue;
            }
            let from = rules.len();
            let question = Question::Rule {
                family: rule.family.0,
                table: rule.table.clone(),
                chain: rule.chain.clone(),
                handle: rule.handle,
            };
            let asked = self.ask(&question, |message| {
                if message.subtype() == NFT_MSG_NEWRULE {
                    rules.extend(bartizan_ruleset::log_rules(message));
                }
            });
            match asked {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(NetfilterError::Io { source, .. }) if source.raw_os_error() == Some(libc::ENOENT) => {
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
            rules[from..].iter_mut().for_each(|new| new.table_handle = rule.table_handle);
        }
        Ok(Some(rules))
    }

    /// The generation of the ruleset: another number after each change. It starts again with the namespace.
    /// `None` where nf_tables is not loaded.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`.
    pub fn generation(&mut self) -> Result<Option<u32>, NetfilterError> {
        let mut generation = None;
        let asked = self.ask(&Question::Generation, |message| {
            if message.subtype() == NFT_MSG_NEWGEN {
                let id = message.nfgen().and_then(|(_, attrs)| {
                    attrs.map_while(Result::ok).find(|a| a.kind == NFTA_GEN_ID)?.be32()
                });
                generation = id.or(generation);
            }
        });
        match asked {
            Ok(_) => generation
                .map(Some)
                .ok_or(NetfilterError::Malformed { operation: Question::Generation.operation() }),
            // What nfnetlink says of a subsystem that is not there.
            Err(NetfilterError::Io { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(NetfilterError::NotSupported { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sends a request and reads until its acknowledgement or the end of the dump; false when the dump was
    /// interrupted by a change or lost a part, and is to be asked again.
    fn ask(
        &mut self,
        question: &Question,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetfilterError> {
        let operation = question.operation();
        self.seq = self.seq.wrapping_add(1);
        (self.send)(question, self.seq)?;
        let mut whole = true;
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let len = match next_datagram(self.answers.as_fd(), &mut self.buf, deadline, operation)? {
                Answer::Bytes(len) => len,
                Answer::Lost => {
                    whole = false;
                    continue;
                }
                // The end itself was lost: the next request has another number, so that a rest does no harm.
                Answer::Nothing if !whole => return Ok(false),
                Answer::Nothing => return Err(NetfilterError::NoAnswer { operation }),
            };
            deadline = Instant::now() + PATIENCE;
            for message in Messages::new(&self.buf[..len]) {
                let message = message.map_err(|_| NetfilterError::Malformed { operation })?;
                if message.seq != self.seq {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.error_code() {
                    Some(0) => return Ok(whole),
                    Some(libc::EINTR) => return Ok(false),
                    Some(code) => return Err(NetfilterError::from_code(operation, code)),
                    None if message.subsystem() == NFNL_SUBSYS_NFTABLES => each(&message),
                    None => {}
                }
            }
        }
    }
}

/// Family, name and handle of a table.
fn table(message: &Message<'_>) -> Option<(u8, String, u64)> {
    if message.subtype() != NFT_MSG_NEWTABLE {
        return None;
    }
    let (nfgen, attrs) = message.nfgen()?;
    let (mut name, mut handle) = (None, 0);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            NFTA_TABLE_NAME => name = Some(String::from_utf8_lossy(attr.c_str()).into_owned()),
            NFTA_TABLE_HANDLE => handle = attr.be64().unwrap_or(0),
            _ => {}
        }
    }
    Some((nfgen.family, name?, handle))
}
