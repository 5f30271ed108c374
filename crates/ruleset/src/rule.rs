//! Log rules, read from nf_tables' own description of a rule (`NFT_MSG_NEWRULE`).
//!
//! ```text
//! nfgenmsg | NFTA_RULE_TABLE name | NFTA_RULE_CHAIN name | NFTA_RULE_HANDLE be64 | NFTA_RULE_EXPRESSIONS list
//! expression: NFTA_LIST_ELEM { NFTA_EXPR_NAME "log", NFTA_EXPR_DATA { attributes of that expression } }
//! ```
//! Sources: include/uapi/linux/netfilter/nf_tables.h, nf_tables_compat.h and xt_NFLOG.h of Linux.
//!
//! An nftables `log group N` is a `log` expression. iptables-nft writes its NFLOG target either as the same
//! expression or (older versions, or with settings that `log` lacks) as the `target` expression that wraps an
//! xtables target; both are read.

use bartizan_decode::netlink::{Attr, Attrs, Message};
use std::fmt;

/// The family of a table (`NFPROTO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Family(pub u8);

impl Family {
    /// The word that nft uses; `unknown` for a family that this program does not know.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            1 => "inet",
            2 => "ip",
            3 => "arp",
            5 => "netdev",
            7 => "bridge",
            10 => "ip6",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What counts the packets of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The rule's own counter, and how many packets it had counted when the rule was read.
    Packets(u64),
    /// A counter object of the table, which other rules may use as well, by its name.
    Named(String),
}

/// One rule that logs to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRule {
    /// The family of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// The number of that table's life: a table that is deleted and made again has another. 0 when unknown
    /// (kernels before 4.16); it is no part of a rule's description, the reader of the tables fills it in.
    pub table_handle: u64,
    /// Its chain.
    pub chain: String,
    /// Its number, unique in one life of its table.
    pub handle: u64,
    /// The NFLOG group.
    pub group: u16,
    /// The log prefix; bytes that are no UTF-8 are replaced. Empty when there is none.
    pub prefix: String,
    /// The counter that stands beside the log statement.
    pub counter: Option<Counter>,
    /// Whether the counter counts exactly the packets that are logged: it is the rule's own, and between it and
    /// the only log statement for this group stands nothing that could let a packet pass one and not the other.
    pub reconcilable: bool,
}

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NFTA_LOG_GROUP: u16 = 1;
const NFTA_LOG_PREFIX: u16 = 2;
const NFTA_OBJREF_IMM_TYPE: u16 = 1;
const NFTA_OBJREF_IMM_NAME: u16 = 2;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFTA_TARGET_NAME: u16 = 1;
const NFTA_TARGET_INFO: u16 = 3;

/// The log rules in one message of a rule dump: one for each group that the rule logs to, none for a rule that
/// does not log to a group or that is not readable.
#[must_use]
pub fn log_rules(message: &Message<'_>) -> Vec<LogRule> {
    read(message).unwrap_or_default()
}

fn read(message: &Message<'_>) -> Option<Vec<LogRule>> {
    let (nfgen, attrs) = message.nfgen()?;
    let (mut table, mut chain, mut handle, mut list) = (None, None, None, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            NFTA_RULE_TABLE => table = Some(text(&attr)),
            NFTA_RULE_CHAIN => chain = Some(text(&attr)),
            NFTA_RULE_HANDLE => handle = attr.be64(),
            NFTA_RULE_EXPRESSIONS => list = Some(attr.attrs()),
            _ => {}
        }
    }
    let (table, chain, handle) = (table?, chain?, handle?);
    let expressions: Vec<_> = list?.map_while(Result::ok).map(|e| expression(&e)).collect();
    let mut rules: Vec<LogRule> = Vec::new();
    for (at, e) in expressions.iter().enumerate() {
        let Expression::Log { group, prefix } = e else { continue };
        if let Some(twice) = rules.iter_mut().find(|r| r.group == *group) {
            // Two rows for each counted packet.
            twice.reconcilable = false;
            continue;
        }
        let counter = beside(&expressions, at);
        rules.push(LogRule {
            family: Family(nfgen.family),
            table: table.clone(),
            table_handle: 0,
            chain: chain.clone(),
            handle,
            group: *group,
            prefix: prefix.clone(),
            reconcilable: matches!(counter, Some(Counter::Packets(_))),
            counter,
        });
    }
    Some(rules)
}

/// An expression, as far as it matters here.
enum Expression {
    Log {
        group: u16,
        prefix: String,
    },
    Counter(Counter),
    /// Logs to the kernel's own log, which lets every packet go on.
    Through,
    /// May end the rule for a packet.
    Other,
}

fn expression(elem: &Attr<'_>) -> Expression {
    if elem.kind != NFTA_LIST_ELEM {
        return Expression::Other;
    }
    let mut name: &[u8] = b"";
    let mut data = Attrs::new(&[]);
    for attr in elem.attrs().map_while(Result::ok) {
        match attr.kind {
            NFTA_EXPR_NAME => name = attr.c_str(),
            NFTA_EXPR_DATA => data = attr.attrs(),
            _ => {}
        }
    }
    match name {
        b"counter" => find(&data, NFTA_COUNTER_PACKETS)
            .and_then(|a| a.be64())
            .map_or(Expression::Other, |n| Expression::Counter(Counter::Packets(n))),
        b"objref" => named_counter(&data),
        b"log" => match find(&data, NFTA_LOG_GROUP).and_then(|a| a.be16()) {
            Some(group) => {
                let prefix = find(&data, NFTA_LOG_PREFIX).map_or_else(String::new, |a| text(&a));
                Expression::Log { group, prefix }
            }
            None => Expression::Through,
        },
        b"target" => xt_nflog(&data).unwrap_or(Expression::Other),
        _ => Expression::Other,
    }
}

fn named_counter(data: &Attrs<'_>) -> Expression {
    let is_counter = find(data, NFTA_OBJREF_IMM_TYPE).and_then(|a| a.be32()) == Some(NFT_OBJECT_COUNTER);
    match find(data, NFTA_OBJREF_IMM_NAME) {
        Some(name) if is_counter => Expression::Counter(Counter::Named(text(&name))),
        _ => Expression::Other,
    }
}

/// `struct xt_nflog_info`: len u32, group u16, threshold u16, flags u16, pad u16, prefix 64; host byte order.
fn xt_nflog(data: &Attrs<'_>) -> Option<Expression> {
    if find(data, NFTA_TARGET_NAME)?.c_str() != b"NFLOG" {
        return None;
    }
    let info = find(data, NFTA_TARGET_INFO)?.payload;
    let group = u16::from_ne_bytes(*info.get(4..)?.first_chunk()?);
    let prefix = info.get(12..76)?;
    let prefix = String::from_utf8_lossy(bartizan_decode::netlink::until_nul(prefix)).into_owned();
    Some(Expression::Log { group, prefix })
}

/// The counter that is joined with the log statement at `at` by nothing but statements that let every packet
/// through. One in front wins over one behind; the rule's own over a named one.
fn beside(expressions: &[Expression], at: usize) -> Option<Counter> {
    let counters = |e: &Expression| match e {
        Expression::Counter(c) => Some(c.clone()),
        _ => None,
    };
    let go_on = |e: &&Expression| !matches!(e, Expression::Other);
    let found: Vec<Counter> = (expressions[..at].iter().rev().take_while(go_on).filter_map(counters))
        .chain(expressions[at + 1..].iter().take_while(go_on).filter_map(counters))
        .collect();
    found.iter().find(|c| matches!(c, Counter::Packets(_))).or(found.first()).cloned()
}

fn find<'a>(attrs: &Attrs<'a>, kind: u16) -> Option<Attr<'a>> {
    attrs.clone().map_while(Result::ok).find(|a| a.kind == kind)
}

fn text(attr: &Attr<'_>) -> String {
    String::from_utf8_lossy(attr.c_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut a = Vec::new();
        a.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
        a.extend(kind.to_ne_bytes());
        a.extend(payload);
        a.resize(a.len().next_multiple_of(4), 0);
        a
    }

    fn expr(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
        let name = attr(NFTA_EXPR_NAME, format!("{name}\0").as_bytes());
        attr(NFTA_LIST_ELEM | 0x8000, &[name, attr(NFTA_EXPR_DATA | 0x8000, &data.concat())].concat())
    }

    fn counter(packets: u64) -> Vec<u8> {
        expr("counter", &[attr(1, &[0; 8]), attr(2, &packets.to_be_bytes())])
    }

    fn log(group: u16, prefix: &str) -> Vec<u8> {
        expr("log", &[attr(1, &group.to_be_bytes()), attr(2, format!("{prefix}\0").as_bytes())])
    }

    fn rule_bytes(expressions: &[Vec<u8>]) -> Vec<u8> {
        [
            vec![2, 0, 0, 0],
            attr(NFTA_RULE_TABLE, b"filter\0"),
            attr(NFTA_RULE_CHAIN, b"input\0"),
            attr(NFTA_RULE_HANDLE, &9u64.to_be_bytes()),
            attr(NFTA_RULE_EXPRESSIONS | 0x8000, &expressions.concat()),
        ]
        .concat()
    }

    fn parse(payload: &[u8]) -> Vec<LogRule> {
        log_rules(&Message { kind: 0xa06, flags: 2, seq: 1, pid: 0, payload })
    }

    #[test]
    fn counter_and_log_in_either_order() {
        let rule = LogRule {
            family: Family(2),
            table: "filter".into(),
            table_handle: 0,
            chain: "input".into(),
            handle: 9,
            group: 7,
            prefix: "x ".into(),
            counter: Some(Counter::Packets(41)),
            reconcilable: true,
        };
        assert_eq!(parse(&rule_bytes(&[counter(41), log(7, "x ")])), std::slice::from_ref(&rule));
        assert_eq!(
            parse(&rule_bytes(&[expr("cmp", &[]), log(7, "x "), counter(41), expr("immediate", &[])])),
            [rule]
        );
    }

    #[test]
    fn a_match_or_limit_between_breaks_the_bond() {
        let rules = parse(&rule_bytes(&[counter(41), expr("limit", &[]), log(7, "x ")]));
        assert_eq!((rules[0].reconcilable, &rules[0].counter), (false, &None));
        // The second counter is the one that counts what is logged.
        let rules = parse(&rule_bytes(&[counter(41), expr("limit", &[]), counter(5), log(7, "x ")]));
        assert_eq!((rules[0].reconcilable, &rules[0].counter), (true, &Some(Counter::Packets(5))));
    }

    #[test]
    fn a_syslog_statement_between_does_not() {
        let rules = parse(&rule_bytes(&[counter(41), expr("log", &[attr(5, &[0; 4])]), log(7, "")]));
        assert_eq!((rules.len(), rules[0].reconcilable), (1, true));
        assert_eq!(parse(&rule_bytes(&[counter(41), expr("log", &[attr(5, &[0; 4])])])), []);
    }

    #[test]
    fn named_counters_and_double_logs_are_not_reconcilable() {
        let named = expr("objref", &[attr(1, &1u32.to_be_bytes()), attr(2, b"total\0")]);
        let rules = parse(&rule_bytes(&[named, log(7, "x ")]));
        assert_eq!(
            (rules[0].reconcilable, &rules[0].counter),
            (false, &Some(Counter::Named("total".into())))
        );
        let rules = parse(&rule_bytes(&[counter(1), log(7, "x "), log(7, "y ")]));
        assert_eq!((rules.len(), rules[0].reconcilable), (1, false));
        let rules = parse(&rule_bytes(&[counter(1), log(7, "x "), log(8, "y ")]));
        assert!(rules.len() == 2 && rules.iter().all(|r| r.reconcilable));
    }

    #[test]
    fn the_iptables_target() {
        let mut info = vec![0; 76];
        info[4..6].copy_from_slice(&5u16.to_ne_bytes());
        info[12..15].copy_from_slice(b"hi ");
        let target = |name: &[u8]| expr("target", &[attr(1, name), attr(2, &[0; 4]), attr(3, &info)]);
        let rules = parse(&rule_bytes(&[expr("match", &[]), counter(3), target(b"NFLOG\0")]));
        assert_eq!((rules[0].group, rules[0].prefix.as_str(), rules[0].reconcilable), (5, "hi ", true));
        assert_eq!(rules[0].counter, Some(Counter::Packets(3)));
        assert_eq!(parse(&rule_bytes(&[counter(3), target(b"LOG\0")])), []);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&payload);
        }

        #[test]
        fn any_damage_gives_an_answer(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
            let mut payload = rule_bytes(&[counter(41), log(7, "x "), counter(5)]);
            let len = payload.len();
            payload[at % len] = byte;
            parse(&payload);
            parse(&payload[..cut % len]);
        }
    }
}
