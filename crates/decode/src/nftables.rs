//! What nf_tables and nfnetlink_acct count, and who changed the ruleset
//! (include/uapi/linux/netfilter/nf_tables.h, nfnetlink_acct.h).
//!
//! Each function takes one message and gives what it says, or `None` when it is another message or says nothing
//! to count. Names are bytes as they came, without their NUL. [`Elements`] puts the elements of a set into words.
//!
//! What it does not do: understand rules (that is `bartizan-ruleset`).

mod elements;

pub use elements::{Element, Elements, SetKey};

use crate::netlink::{Attr, Attrs, Message};

/// The nfnetlink subsystem of nf_tables.
pub const NFNL_SUBSYS_NFTABLES: u8 = 10;
/// The nfnetlink subsystem of nfnetlink_acct.
pub const NFNL_SUBSYS_ACCT: u8 = 7;

const NFT_MSG_NEWCHAIN: u8 = 3;
const NFT_MSG_NEWRULE: u8 = 6;
const NFT_MSG_NEWSET: u8 = 9;
const NFT_MSG_NEWGEN: u8 = 15;
const NFT_MSG_NEWOBJ: u8 = 18;
const NFNL_MSG_ACCT_NEW: u8 = 0;
const NFT_OBJECT_COUNTER: u32 = 1;

/// A new generation of the ruleset, as the notice of a change and as the answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation<'a> {
    /// Its number.
    pub id: u32,
    /// The process that made it, where the kernel tells; its number in the first pid namespace.
    pub pid: Option<u32>,
    /// The name of that process, up to 15 bytes.
    pub process: &'a [u8],
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule with a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedRule<'a> {
    /// `NFPROTO_*`.
    pub family: u8,
    /// Its table.
    pub table: &'a [u8],
    /// Its chain.
    pub chain: &'a [u8],
    /// Its number.
    pub handle: u64,
    /// What its first counter shows.
    pub count: Count,
}

/// A counter object of a table, a policy's counter of a chain, or a set that may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a, T> {
    /// `NFPROTO_*`.
    pub family: u8,
    /// Its table.
    pub table: &'a [u8],
    /// Its own name.
    pub name: &'a [u8],
    /// Its number.
    pub handle: u64,
    /// What is said of it.
    pub value: T,
}

/// An object of nfnetlink_acct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What it shows.
    pub count: Count,
}

/// A change of the ruleset, or the answer to the question for its generation.
#[must_use]
pub fn generation<'a>(message: &Message<'a>) -> Option<Generation<'a>> {
    let (_, attrs) = of(message, NFT_MSG_NEWGEN)?;
    let (mut id, mut pid, mut process) = (None, None, &[][..]);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => id = attr.be32(),
            2 => pid = attr.be32(),
            3 => process = attr.c_str(),
            _ => {}
        }
    }
    Some(Generation { id: id?, pid, process })
}

/// The rule of a message, where it counts. iptables-nft's rules count as well.
#[must_use]
pub fn counted_rule<'a>(message: &Message<'a>) -> Option<CountedRule<'a>> {
    let (family, attrs) = of(message, NFT_MSG_NEWRULE)?;
    let (mut table, mut chain, mut handle, mut expressions) = (None, None, None, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => table = Some(attr.c_str()),
            2 => chain = Some(attr.c_str()),
            3 => handle = attr.be64(),
            4 => expressions = Some(attr.attrs()),
            _ => {}
        }
    }
    let count = expressions?.map_while(Result::ok).find_map(|e| counter(e.attrs()))?;
    Some(CountedRule { family, table: table?, chain: chain?, handle: handle?, count })
}

/// The counter object of a message.
#[must_use]
pub fn counter_object<'a>(message: &Message<'a>) -> Option<Named<'a, Count>> {
    let (family, attrs) = of(message, NFT_MSG_NEWOBJ)?;
    let (mut table, mut name, mut kind, mut data, mut handle) = (None, None, None, None, 0);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => table = Some(attr.c_str()),
            2 => name = Some(attr.c_str()),
            3 => kind = attr.be32(),
            4 => data = Some(attr.attrs()),
            6 => handle = attr.be64().unwrap_or(0),
            _ => {}
        }
    }
    if kind != Some(NFT_OBJECT_COUNTER) {
        return None;
    }
    Some(Named { family, table: table?, name: name?, handle, value: count(data?)? })
}

/// The counter of a base chain's policy: what reached the end of the chain. Only iptables-nft asks for it.
#[must_use]
pub fn policy_counter<'a>(message: &Message<'a>) -> Option<Named<'a, Count>> {
    let (family, attrs) = of(message, NFT_MSG_NEWCHAIN)?;
    let (mut table, mut name, mut counters, mut handle) = (None, None, None, 0);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => table = Some(attr.c_str()),
            2 => handle = attr.be64().unwrap_or(0),
            3 => name = Some(attr.c_str()),
            8 => counters = Some(attr.attrs()),
            _ => {}
        }
    }
    Some(Named { family, table: table?, name: name?, handle, value: count(counters?)? })
}

/// The set or map of a message, where its elements may count.
#[must_use]
pub fn counting_set<'a>(message: &Message<'a>) -> Option<Named<'a, SetKey>> {
    /// Rules add elements, with whatever the rule says.
    const NFT_SET_EVAL: u32 = 0x20;
    const NFT_SET_EXPR: u32 = 0x100;
    let (family, attrs) = of(message, NFT_MSG_NEWSET)?;
    let (mut table, mut name, mut flags, mut key, mut expressions, mut handle) =
        (None, None, 0, SetKey::default(), false, 0);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => table = Some(attr.c_str()),
            2 => name = Some(attr.c_str()),
            3 => flags = attr.be32().unwrap_or(0),
            4 => key.kind = attr.be32().unwrap_or(0),
            5 => key.len = attr.be32().unwrap_or(0),
            16 => handle = attr.be64().unwrap_or(0),
            17 | 18 => expressions = true,
            _ => {}
        }
    }
    key.read_flags(flags);
    let counting = expressions || flags & (NFT_SET_EVAL | NFT_SET_EXPR) != 0;
    counting.then_some(Named { family, table: table?, name: name?, handle, value: key })
}

/// The nfacct object of a message.
#[must_use]
pub fn account<'a>(message: &Message<'a>) -> Option<Account<'a>> {
    if message.subsystem() != NFNL_SUBSYS_ACCT || message.subtype() != NFNL_MSG_ACCT_NEW {
        return None;
    }
    let (_, attrs) = message.nfgen()?;
    let (mut name, mut packets, mut bytes) = (None, None, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => name = Some(attr.c_str()),
            2 => packets = attr.be64(),
            3 => bytes = attr.be64(),
            _ => {}
        }
    }
    Some(Account { name: name?, count: Count { packets: packets?, bytes: bytes? } })
}

/// Family and attributes of a message of nf_tables.
fn of<'a>(message: &Message<'a>, kind: u8) -> Option<(u8, Attrs<'a>)> {
    if message.subsystem() != NFNL_SUBSYS_NFTABLES || message.subtype() != kind {
        return None;
    }
    message.nfgen().map(|(nfgen, attrs)| (nfgen.family, attrs))
}

/// What a counter's attributes say.
fn count(attrs: Attrs<'_>) -> Option<Count> {
    let (mut packets, mut bytes) = (None, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => bytes = attr.be64(),
            2 => packets = attr.be64(),
            _ => {}
        }
    }
    Some(Count { packets: packets?, bytes: bytes? })
}

/// The counter of an expression's attributes, if it is one.
fn counter(attrs: Attrs<'_>) -> Option<Count> {
    let (mut is_counter, mut data) = (false, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => is_counter = attr.c_str() == b"counter",
            2 => data = Some(attr.attrs()),
            _ => {}
        }
    }
    if is_counter { count(data?) } else { None }
}

/// The first attribute of a kind.
fn first<'a>(mut attrs: Attrs<'a>, kind: u16) -> Option<Attr<'a>> {
    attrs.find_map(|a| a.ok().filter(|a| a.kind == kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Messages;
    use crate::testing::{attr, be32, be64, message, nest};
    use proptest::prelude::*;

    fn expr(name: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
        nest(1, &[attr(1, name), nest(2, data)])
    }

    fn with<T>(bytes: &[u8], read: impl FnOnce(&Message<'_>) -> T) -> T {
        read(&Messages::new(bytes).next().unwrap().unwrap())
    }

    #[test]
    fn a_generation_names_its_maker() {
        let notice = message(0xa0f, 0, 0, &[be32(1, 7), be32(2, 4711), attr(3, b"nft\0")]);
        with(&notice, |m| {
            assert_eq!(generation(m), Some(Generation { id: 7, pid: Some(4711), process: b"nft" }))
        });
        let bare = message(0xa0f, 0, 0, &[be32(1, 8)]);
        with(&bare, |m| assert_eq!(generation(m), Some(Generation { id: 8, pid: None, process: b"" })));
        with(&message(0xa0f, 0, 0, &[]), |m| assert_eq!(generation(m), None));
        with(&message(0xa06, 0, 0, &[be32(1, 8)]), |m| assert_eq!(generation(m), None));
    }

    #[test]
    fn a_rule_counts_with_its_first_counter() {
        let head = [attr(1, b"filter\0"), attr(2, b"input\0"), be64(3, 9)];
        let counters =
            [expr(b"counter\0", &[be64(1, 640), be64(2, 10)]), expr(b"counter\0", &[be64(1, 1), be64(2, 1)])];
        let list = nest(4, &[&[expr(b"cmp\0", &[])], &counters[..]].concat());
        with(&message(0xa06, 2, 1, &[&head[..], &[list]].concat()), |m| {
            let rule = counted_rule(m).unwrap();
            assert_eq!(
                (rule.family, rule.table, rule.chain, rule.handle),
                (1, &b"filter"[..], &b"input"[..], 9)
            );
            assert_eq!(rule.count, Count { packets: 10, bytes: 640 });
        });
        let list = nest(4, &[expr(b"cmp\0", &[])]);
        with(&message(0xa06, 2, 1, &[&head[..], &[list]].concat()), |m| assert_eq!(counted_rule(m), None));
    }

    #[test]
    fn objects_that_count_and_others() {
        let object = |kind| {
            let data = nest(4, &[be64(1, 640), be64(2, 10)]);
            message(0xa12, 2, 1, &[attr(1, b"t\0"), attr(2, b"total\0"), be32(3, kind), data, be64(6, 3)])
        };
        with(&object(1), |m| {
            let object = counter_object(m).unwrap();
            assert_eq!((object.table, object.name, object.handle), (&b"t"[..], &b"total"[..], 3));
            assert_eq!(object.value, Count { packets: 10, bytes: 640 });
        });
        with(&object(2), |m| assert_eq!(counter_object(m), None));
    }

    #[test]
    fn policies_and_accounts() {
        let chain = message(
            0xa03,
            2,
            2,
            &[attr(1, b"filter\0"), be64(2, 1), attr(3, b"INPUT\0"), nest(8, &[be64(1, 60), be64(2, 1)])],
        );
        with(&chain, |m| assert_eq!(policy_counter(m).unwrap().value, Count { packets: 1, bytes: 60 }));
        let acct = message(0x700, 2, 0, &[attr(1, b"web\0"), be64(2, 4), be64(3, 400)]);
        with(&acct, |m| {
            assert_eq!(account(m), Some(Account { name: b"web", count: Count { packets: 4, bytes: 400 } }));
        });
    }

    #[test]
    fn only_sets_whose_elements_may_count() {
        let set = |flags, more: &[Vec<u8>]| {
            let head = [attr(1, b"t\0"), attr(2, b"s\0"), be32(3, flags), be32(4, 7), be32(5, 4)];
            message(0xa09, 2, 1, &[&head[..], more].concat())
        };
        with(&set(0, &[]), |m| assert_eq!(counting_set(m), None));
        with(&set(0x20, &[]), |m| assert!(counting_set(m).is_some()));
        with(&set(4, &[expr(b"counter\0", &[])]), |m| assert_eq!(counting_set(m), None));
        with(&set(4, &[nest(17, &[attr(1, b"counter\0")])]), |m| assert!(counting_set(m).is_some()));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(payload in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u16..30) {
            for kind in [0xa00 | kind, 0x700] {
                let m = Message { kind, flags: 0, seq: 0, pid: 0, payload: &payload };
                let _ = (generation(&m), counted_rule(&m), counter_object(&m), policy_counter(&m));
                let _ = (counting_set(&m), account(&m));
                let mut elements = Elements::new(SetKey { kind: 7, len: 4, ..SetKey::default() });
                elements.take(&m);
                let _ = elements.finish();
            }
        }
    }
}
