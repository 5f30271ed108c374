//! nf_tables: the rules that log, with their counters, and the generation of the ruleset.
//!
//! Everything is asked with dumps, which read and change nothing. A dump of the kernel is not one moment: a
//! change of the ruleset during a dump is flagged (`NLM_F_DUMP_INTR`) or seen in the generation, and the dump
//! is asked for again. Counters go on counting meanwhile; each is right at the moment when its rule was read.
//!
//! The whole ruleset is dumped, because the kernel selects by table and chain only: about 1 MB and a few
//! milliseconds for 10,000 rules.

use crate::{
    NetfilterError,
    message::{Answer, NLM_F_ACK, NLM_F_DUMP, PATIENCE, Request, next_datagram},
    sys,
};
use bartizan_decode::netlink::{Message, Messages, NLM_F_DUMP_INTR};
use bartizan_ruleset::LogRule;
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

const NFNL_SUBSYS_NFTABLES: u8 = 10;
const NFT_MSG_NEWTABLE: u8 = 0;
const NFT_MSG_GETTABLE: u8 = 1;
const NFT_MSG_NEWRULE: u8 = 6;
const NFT_MSG_GETRULE: u8 = 7;
const NFT_MSG_NEWGEN: u8 = 15;
const NFT_MSG_GETGEN: u8 = 16;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_GEN_ID: u16 = 1;

const ATTEMPTS: u32 = 20;
/// The kernel fills dumps in parts of at most 32 KiB (`NLMSG_GOODSIZE`) or what the reader last offered.
const PART: usize = 64 * 1024;
/// Enough for the parts that the kernel makes ahead.
const RECEIVE_BUFFER: usize = 1 << 20;
/// A ruleset with more log rules than that is cut; the agent's memory is bounded.
const MAX_RULES: usize = 100_000;

/// A socket for asking nf_tables, bound to the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nftables {
    fd: OwnedFd,
    seq: u32,
    buf: Vec<u8>,
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
    /// Opens a socket in the network namespace of this thread.
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel has no nfnetlink at all.
    pub fn open() -> Result<Self, NetfilterError> {
        const OPERATION: &str = "open a netfilter socket";
        let fd = sys::netfilter_socket().map_err(|e| NetfilterError::from_io(OPERATION, e))?;
        sys::set_receive_buffer(fd.as_fd(), RECEIVE_BUFFER)
            .map_err(|e| NetfilterError::from_io(OPERATION, e))?;
        Ok(Self { fd, seq: 0, buf: vec![0; PART] })
    }

    /// The rules of every family that log to a group, with their counters. Empty where nf_tables is not loaded.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`; [`NetfilterError::KeepsChanging`] when the
    /// ruleset changes faster than it can be read.
    pub fn log_rules(&mut self) -> Result<Vec<LogRule>, NetfilterError> {
        const OPERATION: &str = "read the rules of nf_tables";
        for _ in 0..ATTEMPTS {
            let Some(before) = self.generation()? else { return Ok(Vec::new()) };
            let mut tables = BTreeMap::new();
            let complete = self.dump(NFT_MSG_GETTABLE, "read the tables of nf_tables", |message| {
                if let Some((family, name, handle)) = table(message) {
                    tables.insert((family, name), handle);
                }
            })?;
            if !complete {
                continue;
            }
            let mut rules = Vec::new();
            let complete = self.dump(NFT_MSG_GETRULE, OPERATION, |message| {
                if message.subtype() == NFT_MSG_NEWRULE && rules.len() < MAX_RULES {
                    rules.extend(bartizan_ruleset::log_rules(message));
                }
            })?;
            if !complete || self.generation()? != Some(before) {
                continue;
            }
            for rule in &mut rules {
                let handle = tables.get(&(rule.family.0, rule.table.clone()));
                rule.table_handle = handle.copied().unwrap_or(0);
            }
            return Ok(rules);
        }
        Err(NetfilterError::KeepsChanging { attempts: ATTEMPTS })
    }

    /// The generation of the ruleset: another number after each change. It starts again with the namespace.
    /// `None` where nf_tables is not loaded.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`.
    pub fn generation(&mut self) -> Result<Option<u32>, NetfilterError> {
        const OPERATION: &str = "read the generation of nf_tables";
        let mut generation = None;
        let asked = self.ask(NFT_MSG_GETGEN, NLM_F_ACK, OPERATION, |message| {
            if message.subtype() == NFT_MSG_NEWGEN {
                let id = message.nfgen().and_then(|(_, attrs)| {
                    attrs.map_while(Result::ok).find(|a| a.kind == NFTA_GEN_ID)?.be32()
                });
                generation = id.or(generation);
            }
        });
        match asked {
            Ok(_) => generation.map(Some).ok_or(NetfilterError::Malformed { operation: OPERATION }),
            // What nfnetlink says of a subsystem that is not there.
            Err(NetfilterError::Io { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(NetfilterError::NotSupported { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Asks for a dump; false when it was interrupted by a change or lost a part, and is to be asked again.
    fn dump(
        &mut self,
        message: u8,
        operation: &'static str,
        each: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetfilterError> {
        self.ask(message, NLM_F_DUMP, operation, each)
    }

    /// Sends a request and reads until its acknowledgement or the end of the dump.
    fn ask(
        &mut self,
        message: u8,
        flags: u16,
        operation: &'static str,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetfilterError> {
        self.seq = self.seq.wrapping_add(1);
        let request = Request::new(NFNL_SUBSYS_NFTABLES, message, flags, self.seq, 0, 0).finish();
        sys::send_to_kernel(self.fd.as_fd(), &request).map_err(|e| NetfilterError::from_io(operation, e))?;
        let mut whole = true;
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let len = match next_datagram(self.fd.as_fd(), &mut self.buf, deadline, operation)? {
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
