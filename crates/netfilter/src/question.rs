//! What may be asked, as a value: the privileged half makes the netlink message from it, so that the other half
//! can ask for nothing else. Only readings are here; nothing changes the kernel.
//!
//! ```text
//! question: tag u8, fields; family u8, handle u64 big endian, text: length u16 big endian and UTF-8
//! ```

use crate::{
    NetfilterError,
    message::{NLM_F_ACK, NLM_F_DUMP, Request},
    nftables::{
        NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN, NFT_MSG_GETRULE,
        NFT_MSG_GETTABLE, NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_TABLE, RECEIVE_BUFFER,
    },
    sys,
};
use std::os::fd::{AsFd, OwnedFd};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Every table of nf_tables.
    Tables,
    /// Every rule.
    Rules,
    /// One rule.
    Rule {
        /// Its table's family.
        family: u8,
        /// Its table.
        table: String,
        /// Its chain.
        chain: String,
        /// Its handle.
        handle: u64,
    },
    /// The generation of the ruleset.
    Generation,
    /// Nothing: waits until a change that is being made is made.
    Barrier,
}

impl Question {
    /// What is tried, as errors say it.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Tables => "read the tables of nf_tables",
            Self::Rules | Self::Barrier => "read the rules of nf_tables",
            Self::Rule { .. } => "read a rule of nf_tables",
            Self::Generation => "read the generation of nf_tables",
        }
    }

    /// As bytes, for another process.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Tables => vec![0],
            Self::Rules => vec![1],
            Self::Rule { family, table, chain, handle } => {
                let mut out = vec![2, *family];
                out.extend(handle.to_be_bytes());
                for text in [table, chain] {
                    let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
                    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
                    out.extend(text);
                }
                out
            }
            Self::Generation => vec![3],
            Self::Barrier => vec![4],
        }
    }

    /// From bytes of another process; any bytes are one question or none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (question, rest) = match tag {
            0 => (Self::Tables, rest),
            1 => (Self::Rules, rest),
            2 => {
                let (family, rest) = rest.split_first()?;
                let (handle, rest) = rest.split_first_chunk()?;
                let (table, rest) = text(rest)?;
                let (chain, rest) = text(rest)?;
                (Self::Rule { family: *family, table, chain, handle: u64::from_be_bytes(*handle) }, rest)
            }
            3 => (Self::Generation, rest),
            4 => (Self::Barrier, rest),
            _ => return None,
        };
        rest.is_empty().then_some(question)
    }

    /// The messages for the kernel.
    fn messages(&self, seq: u32) -> Vec<u8> {
        let nftables =
            |message, flags, family| Request::new(NFNL_SUBSYS_NFTABLES, message, flags, seq, family, 0);
        match self {
            Self::Tables => nftables(NFT_MSG_GETTABLE, NLM_F_DUMP, 0).finish(),
            Self::Rules => nftables(NFT_MSG_GETRULE, NLM_F_DUMP, 0).finish(),
            Self::Rule { family, table, chain, handle } => nftables(NFT_MSG_GETRULE, NLM_F_ACK, *family)
                .c_str(NFTA_RULE_TABLE, table)
                .c_str(NFTA_RULE_CHAIN, chain)
                .attr(NFTA_RULE_HANDLE, &handle.to_be_bytes())
                .finish(),
            Self::Generation => nftables(NFT_MSG_GETGEN, NLM_F_ACK, 0).finish(),
            Self::Barrier => {
                let resource = u16::from(NFNL_SUBSYS_NFTABLES);
                let part = |message| Request::new(0, message, 0, seq, 0, resource).finish();
                [part(NFNL_MSG_BATCH_BEGIN), part(NFNL_MSG_BATCH_END)].concat()
            }
        }
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

/// How the half that reads answers gets its questions asked: by itself, or by another process.
pub type SendQuestion = Box<dyn FnMut(&Question, u32) -> Result<(), NetfilterError> + Send>;

/// The privileged half: sends questions on a socket of which somebody else reads the answers.
#[derive(Debug)]
pub struct Asker(OwnedFd);

impl Asker {
    /// A socket in the network namespace of this thread, and a second descriptor of it for
    /// [`Nftables::new`](crate::Nftables::new).
    ///
    /// # Errors
    /// [`NetfilterError::NotSupported`] when the kernel has no nfnetlink at all.
    pub fn open() -> Result<(Self, OwnedFd), NetfilterError> {
        let failed = |e| NetfilterError::from_io("open a netfilter socket", e);
        let fd = sys::netfilter_socket().map_err(failed)?;
        sys::set_receive_buffer(fd.as_fd(), RECEIVE_BUFFER).map_err(failed)?;
        let answers = fd.try_clone().map_err(failed)?;
        Ok((Self(fd), answers))
    }

    /// Sends a question; its answer carries `seq`.
    ///
    /// # Errors
    /// Those of the system; a refusal comes as an answer.
    pub fn send(&self, question: &Question, seq: u32) -> Result<(), NetfilterError> {
        sys::send_to_kernel(self.0.as_fd(), &question.messages(seq))
            .map_err(|e| NetfilterError::from_io(question.operation(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_back_and_a_part_of_it_or_more_is_none() {
        let rule = Question::Rule { family: 1, table: "filter".into(), chain: "in".into(), handle: u64::MAX };
        for question in [Question::Tables, Question::Rules, rule, Question::Generation, Question::Barrier] {
            let bytes = question.to_bytes();
            assert_eq!(Question::from_bytes(&bytes), Some(question));
            (0..bytes.len()).for_each(|cut| assert_eq!(Question::from_bytes(&bytes[..cut]), None));
            assert_eq!(Question::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Question::from_bytes(&[99]), None);
    }
}
