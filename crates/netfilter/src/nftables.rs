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
//! [`Nftables`] reads the answers; who asks is another matter ([`Question`]).
//!
//! The first reading dumps the whole ruleset, about 10 ms of CPU for 1,000 rules. While the generation stays
//! what it was, later readings ask for the log rules alone, one by one.

use crate::{
    Asker, NetfilterError, Question, SendQuestion,
    message::{Answer, PATIENCE, next_datagram},
};
use bartizan_decode::{
    netlink::{Message, Messages, NLM_F_DUMP_INTR},
    nftables,
};
use bartizan_ruleset::LogRule;
use std::{
    collections::BTreeMap,
    fmt,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

const NFT_MSG_NEWTABLE: u8 = 0;
const NFT_MSG_NEWRULE: u8 = 6;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_HANDLE: u16 = 4;

/// With more log rules than that the whole ruleset is asked for each time.
const MAX_KNOWN: usize = 256;
pub(crate) const ATTEMPTS: u32 = 20;
/// The kernel fills dumps in parts of at most 32 KiB (`NLMSG_GOODSIZE`) or what the reader last offered.
const PART: usize = 64 * 1024;
/// A ruleset with more log rules than that is cut; the agent's memory is bounded.
const MAX_RULES: usize = 100_000;

/// Reads what nf_tables, nfnetlink_acct and conntrack answer to questions.
///
/// The answers come on a socket of the network namespace in which it was opened. Whoever sends the questions
/// needs `CAP_NET_ADMIN` there; reading the answers needs nothing.
pub struct Nftables {
    answers: OwnedFd,
    send: SendQuestion,
    seq: u32,
    buf: Vec<u8>,
    known: Option<Known>,
    /// A question whose answer was not read to its end: its rest comes before the next answer.
    unfinished: bool,
}

impl fmt::Debug for Nftables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Tables by family and name, with their numbers.
pub(crate) type Tables = BTreeMap<(u8, String), u64>;

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
    /// Asks and reads in one process, in the network namespace of this thread.
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel has no nfnetlink at all.
    pub fn open() -> Result<Self, NetfilterError> {
        let (asker, answers) = Asker::open()?;
        Ok(Self::new(answers, Box::new(move |question, seq| asker.send(question, seq))))
    }

    /// Reads on a socket that [`Asker::open`] gave, what is asked with `send`.
    #[must_use]
    pub fn new(answers: OwnedFd, send: SendQuestion) -> Self {
        Self { answers, send, seq: 0, buf: vec![0; PART], known: None, unfinished: false }
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
    ///
    /// It is carried out inside `send`. A refusal comes as a message that nobody waits for: the dump behind it is
    /// refused as well.
    pub(crate) fn barrier(&mut self) -> Result<(), NetfilterError> {
        self.seq = self.seq.wrapping_add(1);
        (self.send)(&Question::Barrier, self.seq)
    }

    /// Dumps tables and rules; `None` when that was interrupted by a change.
    fn all_rules(&mut self) -> Result<Option<Vec<LogRule>>, NetfilterError> {
        let Some(tables) = self.tables()? else { return Ok(None) };
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

    /// Dumps the tables; `None` when that was interrupted by a change.
    pub(crate) fn tables(&mut self) -> Result<Option<Tables>, NetfilterError> {
        let mut tables = BTreeMap::new();
        let whole = self.ask(&Question::Tables, |message| {
            if let Some((family, name, handle)) = table(message) {
                tables.insert((family, name), handle);
            }
        })?;
        Ok(whole.then_some(tables))
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
                Err(e) if e.is_gone() => return Ok(None),
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
            generation = nftables::generation(message).map(|g| g.id).or(generation);
        });
        match asked {
            Ok(_) => {
                let operation = Question::Generation.operation();
                generation.map(Some).ok_or(NetfilterError::Malformed { operation })
            }
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The generation behind any change that is being made: when this returns the same number twice, no packet
    /// between went through other rules, apart from one that was on its way through the old ones when the
    /// number became what it is.
    ///
    /// Without the barrier the answer could be the old number while the first chains have their new rules: the
    /// kernel changes the number after the chains.
    ///
    /// # Errors
    /// As [`Nftables::generation`].
    pub fn settled_generation(&mut self) -> Result<Option<u32>, NetfilterError> {
        self.barrier()?;
        self.generation()
    }

    /// Asks and reads until the acknowledgement or the end of the dump; false when the dump was interrupted by a
    /// change or lost a part, and is to be asked again.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
        each: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetfilterError> {
        if self.unfinished {
            self.drain(question.operation())?;
        }
        self.unfinished = true;
        self.seq = self.seq.wrapping_add(1);
        (self.send)(question, self.seq)?;
        let answer = self.answer(question, each);
        // A refusal is an end too.
        self.unfinished = matches!(answer, Ok((_, false)) | Err((_, false)));
        answer.map(|(whole, _)| whole).map_err(|(error, _)| error)
    }

    /// Reads the answer; beside what it was, whether its end was seen.
    fn answer(
        &mut self,
        question: &Question,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(bool, bool), (NetfilterError, bool)> {
        let operation = question.operation();
        let mut whole = true;
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let next = next_datagram(self.answers.as_fd(), &mut self.buf, deadline, operation);
            let len = match next.map_err(|e| (e, false))? {
                Answer::Bytes(len) => len,
                Answer::Lost => {
                    whole = false;
                    continue;
                }
                // The end itself was lost: the next question has another number, so that a rest does no harm.
                Answer::Nothing if !whole => return Ok((false, false)),
                Answer::Nothing => return Err((NetfilterError::NoAnswer { operation }, false)),
            };
            deadline = Instant::now() + PATIENCE;
            for message in Messages::new(&self.buf[..len]) {
                let message = message.map_err(|_| (NetfilterError::Malformed { operation }, false))?;
                if message.seq != self.seq {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.error_code() {
                    Some(0) => return Ok((whole, true)),
                    Some(libc::EINTR) => return Ok((false, true)),
                    Some(code) => return Err((NetfilterError::from_code(operation, code), true)),
                    None if message.subsystem() == question.subsystem() => each(&message),
                    None => {}
                }
            }
        }
    }

    /// Reads what is left of an answer: the kernel refuses a dump while another one is under way.
    fn drain(&mut self, operation: &'static str) -> Result<(), NetfilterError> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match next_datagram(self.answers.as_fd(), &mut self.buf, Instant::now(), operation)? {
                Answer::Nothing => return Ok(()),
                Answer::Bytes(_) | Answer::Lost => {}
            }
        }
        Err(NetfilterError::NoAnswer { operation })
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
