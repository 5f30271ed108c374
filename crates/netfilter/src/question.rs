//! What the kernel may be asked: every question reads, and changes nothing.
//!
//! The privileged half makes the message from the question ([`Asker`]), so that whoever asks through it can ask
//! no more than this. The unprivileged half ([`crate::Nftables`]) reads the answers on a duplicate of the socket,
//! so that no byte of an answer is parsed with privilege. The kernel looks at privileges when it takes a
//! message, and not when it goes on with a dump inside the reader's `recv`.
//!
//! ```text
//! encoded: tag u8 | numbers big endian | texts: length u16 and bytes
//! ```

use crate::{
    NetfilterError,
    message::{NLM_F_ACK, NLM_F_DUMP, Request},
    sys,
};
use std::os::fd::{AsFd, OwnedFd};

const NFNL_SUBSYS_CTNETLINK: u8 = 1;
const NFNL_SUBSYS_ACCT: u8 = 7;
const NFNL_SUBSYS_NFTABLES: u8 = 10;
const NFNL_MSG_BATCH_BEGIN: u8 = 16;
const NFNL_MSG_BATCH_END: u8 = 17;
const IPCTNL_MSG_CT_GET: u8 = 1;
const NFNL_MSG_ACCT_GET: u8 = 1;
const NFT_MSG_GETTABLE: u8 = 1;
const NFT_MSG_GETCHAIN: u8 = 4;
const NFT_MSG_GETRULE: u8 = 7;
const NFT_MSG_GETSET: u8 = 10;
const NFT_MSG_GETSETELEM: u8 = 13;
const NFT_MSG_GETGEN: u8 = 16;
const NFT_MSG_GETOBJ: u8 = 19;
const NFT_OBJECT_COUNTER: u32 = 1;

/// Enough for the parts of a dump that the kernel makes ahead.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The kernel's names have at most 255 bytes.
const MAX_NAME: usize = 255;

/// A question to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// All tables.
    Tables,
    /// All rules of all families.
    Rules,
    /// One rule.
    Rule {
        /// `NFPROTO_*`.
        family: u8,
        /// Its table.
        table: String,
        /// Its chain.
        chain: String,
        /// Its number.
        handle: u64,
    },
    /// The generation of the ruleset.
    Generation,
    /// Waits until a change that is being made is made: an empty transaction, which is answered by nothing and
    /// changes nothing.
    Barrier,
    /// All chains, with the counters of their policies.
    Chains,
    /// All named counters, without a reset.
    Objects,
    /// All sets and maps, without their elements.
    Sets,
    /// The elements of a set.
    Elements {
        /// `NFPROTO_*`.
        family: u8,
        /// Its table.
        table: String,
        /// The set.
        set: String,
    },
    /// All objects of nfnetlink_acct, without a reset.
    Accounting,
    /// All tracked connections of a family; 0 is every family.
    Connections {
        /// `NFPROTO_*`.
        family: u8,
    },
}

impl Question {
    /// As bytes, for the way between two processes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Tables => out.push(1),
            Self::Rules => out.push(2),
            Self::Rule { family, table, chain, handle } => {
                out.extend([3, *family]);
                out.extend(handle.to_be_bytes());
                put(&mut out, table);
                put(&mut out, chain);
            }
            Self::Generation => out.push(4),
            Self::Barrier => out.push(5),
            Self::Chains => out.push(6),
            Self::Objects => out.push(7),
            Self::Sets => out.push(8),
            Self::Elements { family, table, set } => {
                out.extend([9, *family]);
                put(&mut out, table);
                put(&mut out, set);
            }
            Self::Accounting => out.push(10),
            Self::Connections { family } => out.extend([11, *family]),
        }
        out
    }

    /// The question that [`Question::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        let input = &mut rest;
        let question = match tag {
            1 => Self::Tables,
            2 => Self::Rules,
            3 => {
                let [family] = take(input)?;
                let handle = u64::from_be_bytes(take(input)?);
                Self::Rule { family, handle, table: text(input)?, chain: text(input)? }
            }
            4 => Self::Generation,
            5 => Self::Barrier,
            6 => Self::Chains,
            7 => Self::Objects,
            8 => Self::Sets,
            9 => Self::Elements { family: take::<1>(input)?[0], table: text(input)?, set: text(input)? },
            10 => Self::Accounting,
            11 => Self::Connections { family: take::<1>(input)?[0] },
            _ => return None,
        };
        input.is_empty().then_some(question)
    }

    /// What is tried, as errors say it.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Tables => "read the tables of nf_tables",
            Self::Rules | Self::Barrier => "read the rules of nf_tables",
            Self::Rule { .. } => "read a rule of nf_tables",
            Self::Generation => "read the generation of nf_tables",
            Self::Chains => "read the chains of nf_tables",
            Self::Objects => "read the counters of nf_tables",
            Self::Sets => "read the sets of nf_tables",
            Self::Elements { .. } => "read the elements of a set of nf_tables",
            Self::Accounting => "read the objects of nfnetlink_acct",
            Self::Connections { .. } => "read the tracked connections",
        }
    }

    /// The subsystem whose messages answer it.
    pub(crate) const fn subsystem(&self) -> u8 {
        match self {
            Self::Accounting => NFNL_SUBSYS_ACCT,
            Self::Connections { .. } => NFNL_SUBSYS_CTNETLINK,
            _ => NFNL_SUBSYS_NFTABLES,
        }
    }

    /// The message that asks it.
    fn message(&self, seq: u32) -> Vec<u8> {
        let nft = |message, flags, family| Request::new(NFNL_SUBSYS_NFTABLES, message, flags, seq, family, 0);
        let request = match self {
            Self::Tables => nft(NFT_MSG_GETTABLE, NLM_F_DUMP, 0),
            Self::Rules => nft(NFT_MSG_GETRULE, NLM_F_DUMP, 0),
            Self::Rule { family, table, chain, handle } => nft(NFT_MSG_GETRULE, NLM_F_ACK, *family)
                .c_str(1, table)
                .c_str(2, chain)
                .attr(3, &handle.to_be_bytes()),
            Self::Generation => nft(NFT_MSG_GETGEN, NLM_F_ACK, 0),
            Self::Barrier => {
                let resource = u16::from(NFNL_SUBSYS_NFTABLES);
                let part = |message| Request::new(0, message, 0, seq, 0, resource).finish();
                return [part(NFNL_MSG_BATCH_BEGIN), part(NFNL_MSG_BATCH_END)].concat();
            }
            Self::Chains => nft(NFT_MSG_GETCHAIN, NLM_F_DUMP, 0),
            Self::Objects => nft(NFT_MSG_GETOBJ, NLM_F_DUMP, 0).attr(3, &NFT_OBJECT_COUNTER.to_be_bytes()),
            Self::Sets => nft(NFT_MSG_GETSET, NLM_F_DUMP, 0),
            Self::Elements { family, table, set } => {
                nft(NFT_MSG_GETSETELEM, NLM_F_DUMP, *family).c_str(1, table).c_str(2, set)
            }
            Self::Accounting => Request::new(NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_GET, NLM_F_DUMP, seq, 0, 0),
            Self::Connections { family } => {
                Request::new(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_DUMP, seq, *family, 0)
            }
        };
        request.finish()
    }
}

/// A longer name is no name in the kernel; what is left of it names nothing.
fn put(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(MAX_NAME)];
    out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend(text.as_bytes());
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

/// A name as the kernel could have one: of bounded length and without a NUL.
fn text(input: &mut &[u8]) -> Option<String> {
    let len = usize::from(u16::from_be_bytes(take(input)?));
    if len > MAX_NAME {
        return None;
    }
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    let text = std::str::from_utf8(head).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

/// How questions get to the kernel, as the reader of the answers sees it: by an [`Asker`] of its own process, or
/// through another process that has one. The number comes back in the answers.
pub type SendQuestion = Box<dyn FnMut(&Question, u32) -> Result<(), NetfilterError> + Send>;

/// The privileged half: sends questions to the kernel, and reads nothing.
#[derive(Debug)]
pub struct Asker {
    fd: OwnedFd,
}

impl Asker {
    /// A socket in the network namespace of this thread, and a duplicate for the reader of the answers.
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel has no nfnetlink at all.
    pub fn open() -> Result<(Self, OwnedFd), NetfilterError> {
        let io = |e| NetfilterError::from_io("open a netfilter socket", e);
        let fd = sys::netfilter_socket().map_err(io)?;
        sys::set_receive_buffer(fd.as_fd(), RECEIVE_BUFFER).map_err(io)?;
        let answers = fd.try_clone().map_err(io)?;
        Ok((Self { fd }, answers))
    }

    /// Sends a question. The kernel carries it out before this returns, but for the later parts of a dump.
    ///
    /// # Errors
    /// When it cannot be sent; a refusal comes as an answer.
    pub fn send(&self, question: &Question, seq: u32) -> Result<(), NetfilterError> {
        sys::send_to_kernel(self.fd.as_fd(), &question.message(seq))
            .map_err(|e| NetfilterError::from_io(question.operation(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_decode::netlink::Messages;

    fn all() -> Vec<Question> {
        let (table, set) = ("filter".to_owned(), "größe".to_owned());
        vec![
            Question::Tables,
            Question::Rules,
            Question::Rule { family: 1, table: table.clone(), chain: "input".into(), handle: u64::MAX },
            Question::Generation,
            Question::Barrier,
            Question::Chains,
            Question::Objects,
            Question::Sets,
            Question::Elements { family: 10, table, set },
            Question::Accounting,
            Question::Connections { family: 2 },
        ]
    }

    #[test]
    fn questions_read_back_and_nothing_else_does() {
        for question in all() {
            let bytes = question.to_bytes();
            assert_eq!(Question::from_bytes(&bytes), Some(question));
            for cut in 0..bytes.len() {
                assert_eq!(Question::from_bytes(&bytes[..cut]), None);
            }
            assert_eq!(Question::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Question::from_bytes(&[0]), None);
        assert_eq!(Question::from_bytes(&[9, 1, 0, 1, 0, 0, 0]), None, "a NUL ends names in the kernel");
    }

    #[test]
    fn every_message_reads() {
        for question in all() {
            let bytes = question.message(7);
            let messages: Vec<_> = Messages::new(&bytes).map(Result::unwrap).collect();
            if question == Question::Barrier {
                assert_eq!(messages.iter().map(|m| m.kind).collect::<Vec<_>>(), [16, 17]);
                continue;
            }
            let [message] = &messages[..] else { panic!("{question:?}") };
            let gets = match message.subsystem() {
                10 => [1, 4, 7, 10, 13, 16, 19].contains(&message.subtype()),
                1 | 7 => message.subtype() == 1,
                _ => false,
            };
            assert!(gets && message.seq == 7 && message.subsystem() == question.subsystem(), "{question:?}");
        }
    }
}
