//! A rule in a ruleset, and what became of it in a later one.

use bartizan_ruleset::{Counter, Form, Listing, Rule, Ruleset};
use serde::Serialize;

/// A rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Placed {
    pub(crate) table: String,
    pub(crate) chain: String,
    pub(crate) handle: i64,
    /// Its place in the chain, from 1.
    pub(crate) position: usize,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// Whether it has a counter of its own.
    #[serde(skip)]
    pub(crate) counts: bool,
    /// Whether it logs.
    #[serde(skip)]
    pub(crate) logs: bool,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// It stands as it did.
    Same,
    /// The same text, elsewhere: in another chain, or before what it was behind.
    Moved,
    /// The rule has another text now.
    Changed,
    /// It is not there any more.
    Deleted,
    /// Nobody can tell: its text or the newest ruleset is not known.
    Unknown,
}

/// The rules of a listing's texts, in the order of their chains.
pub(crate) fn rules_of(texts: &[(String, String)]) -> Vec<Placed> {
    let listing = texts.iter().filter_map(|(form, text)| Some((Form::from_word(form)?, text.clone())));
    let ruleset = Ruleset::read(&Listing(listing.collect()));
    placed(ruleset.rules())
}

fn placed<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Placed> {
    let mut out: Vec<Placed> = Vec::new();
    for rule in rules {
        let position = match out.last() {
            Some(before) if (&before.table, &before.chain) == (&rule.table, &rule.chain) => {
                before.position + 1
            }
            _ => 1,
        };
        out.push(Placed {
            table: rule.table.clone(),
            chain: rule.chain.clone(),
            handle: rule.handle,
            position,
            text: rule.text.clone(),
            comment: rule.comment.clone(),
            counts: matches!(rule.counter, Some(Counter::Packets(_))),
            logs: !rule.logs.is_empty(),
        });
    }
    out
}

/// The rule of a ruleset that an event names. Its handle may be another: the same content loaded anew is the same
/// generation with new handles.
pub(crate) fn find<'a>(
    rules: &'a [Placed],
    table: &str,
    chain: &str,
    handle: Option<i64>,
    text: &str,
) -> Option<&'a Placed> {
    let mut same = rules.iter().filter(|r| r.table == table && r.chain == chain && r.text == text);
    let first = same.next()?;
    let handle = |rule: &&Placed| Some(rule.handle) == handle;
    Some(std::iter::once(first).chain(same).find(handle).unwrap_or(first))
}

/// What became of `rule`, one of `then`, in `now`; and the rule there that it is, or has become.
pub(crate) fn fate<'a>(rule: &Placed, then: &[Placed], now: &'a [Placed]) -> (Fate, Option<&'a Placed>) {
    let here = |r: &&Placed| r.table == rule.table && r.chain == rule.chain;
    let same_text: Vec<&Placed> = now.iter().filter(|r| r.text == rule.text).collect();
    if let Some(same) = find(now, &rule.table, &rule.chain, Some(rule.handle), &rule.text) {
        let fate = if overtaken(rule, then, same, now) { Fate::Moved } else { Fate::Same };
        return (fate, Some(same));
    }
    if let Some(elsewhere) = same_text.first() {
        return (Fate::Moved, Some(elsewhere));
    }
    // A replaced rule keeps its handle. After a reload handles mean nothing, and the comment or what is logged tells.
    let known =
        |r: &&Placed| then.iter().any(|t| (&t.table, &t.chain, &t.text) == (&r.table, &r.chain, &r.text));
    let fresh: Vec<&Placed> = now.iter().filter(here).filter(|r| !known(r)).collect();
    let one = |mut found: std::vec::IntoIter<&'a Placed>| match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    };
    let by = |test: &dyn Fn(&Placed) -> bool| {
        one(fresh.iter().copied().filter(|r| test(r)).collect::<Vec<_>>().into_iter())
    };
    let changed = by(&|r| r.handle == rule.handle)
        .or_else(|| by(&|r| r.comment.is_some() && r.comment == rule.comment))
        .or_else(|| by(&|r| prefix_of(&r.text).is_some() && prefix_of(&r.text) == prefix_of(&rule.text)));
    changed.map_or((Fate::Deleted, None), |changed| (Fate::Changed, Some(changed)))
}

/// Whether a rule that both rulesets have in this chain stood on the other side of it.
fn overtaken(rule: &Placed, then: &[Placed], same: &Placed, now: &[Placed]) -> bool {
    let before = |r: &Placed, all: &[Placed]| -> Vec<String> {
        let chain = all.iter().filter(|o| o.table == r.table && o.chain == r.chain);
        chain.filter(|o| o.position < r.position).map(|o| o.text.clone()).collect()
    };
    let after = |r: &Placed, all: &[Placed]| -> Vec<String> {
        let chain = all.iter().filter(|o| o.table == r.table && o.chain == r.chain);
        chain.filter(|o| o.position > r.position).map(|o| o.text.clone()).collect()
    };
    let (old_before, old_after) = (before(rule, then), after(rule, then));
    let (new_before, new_after) = (before(same, now), after(same, now));
    let crossed = |from: &[String], not_from: &[String], to: &[String], not_to: &[String]| {
        from.iter().any(|t| to.contains(t) && !not_from.contains(t) && !not_to.contains(t))
    };
    crossed(&old_before, &old_after, &new_after, &new_before)
        || crossed(&old_after, &old_before, &new_before, &new_after)
}

/// What a rule writes before what it logs, as nft or iptables write it.
fn prefix_of(text: &str) -> Option<&str> {
    let after = text
        .split_once("log prefix ")
        .or_else(|| text.split_once("log-prefix "))
        .or_else(|| text.split_once("nflog-prefix "))?
        .1;
    match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => after.split_whitespace().next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(rules: &[(i64, &str)]) -> Vec<Placed> {
        let placed = |(at, (handle, text)): (usize, &(i64, &str))| Placed {
            table: "inet filter".into(),
            chain: "input".into(),
            handle: *handle,
            position: at + 1,
            text: (*text).into(),
            comment: text.split_once("comment ").map(|(_, c)| c.to_owned()),
            counts: false,
            logs: false,
        };
        rules.iter().enumerate().map(placed).collect()
    }

    fn fate_of(then: &[(i64, &str)], at: usize, now: &[(i64, &str)]) -> (Fate, Option<i64>) {
        let (then, now) = (chain(then), chain(now));
        let (fate, rule) = fate(&then[at], &then, &now);
        (fate, rule.map(|r| r.handle))
    }

    #[test]
    fn a_rule_is_followed_into_another_ruleset() {
        let then = [(1, "a accept"), (2, "b drop"), (3, "c drop")];
        for (now, want) in [
            (vec![(1, "a accept"), (2, "b drop"), (3, "c drop")], (Fate::Same, Some(2))),
            // loaded anew, with a rule before it
            (vec![(7, "x"), (8, "a accept"), (9, "b drop"), (10, "c drop")], (Fate::Same, Some(9))),
            (vec![(2, "b drop")], (Fate::Same, Some(2))),
            (vec![(2, "b drop"), (1, "a accept"), (3, "c drop")], (Fate::Moved, Some(2))),
            (vec![(1, "a accept"), (3, "c drop"), (8, "b drop")], (Fate::Moved, Some(8))),
            (vec![(1, "a accept"), (2, "b reject"), (3, "c drop")], (Fate::Changed, Some(2))),
            (vec![(1, "a accept"), (3, "c drop")], (Fate::Deleted, None)),
            // a handle that another old rule had is no sign
            (vec![(2, "c drop")], (Fate::Deleted, None)),
            (vec![], (Fate::Deleted, None)),
        ] {
            assert_eq!(fate_of(&then, 1, &now), want, "{now:?}");
        }
    }

    #[test]
    fn after_a_reload_comment_and_prefix_tell_what_changed() {
        let then = [(1, "tcp dport 22 log prefix \"ssh \" drop"), (2, "x comment mail")];
        let now = [(11, "x y comment mail"), (12, "tcp dport { 22, 23 } log prefix \"ssh \" drop")];
        assert_eq!(fate_of(&then, 0, &now), (Fate::Changed, Some(12)));
        assert_eq!(fate_of(&then, 1, &now), (Fate::Changed, Some(11)));
        let two = [(11, "a log prefix \"ssh \" drop"), (12, "b log prefix \"ssh \" drop")];
        assert_eq!(fate_of(&then, 0, &two), (Fate::Deleted, None), "two could be it: nobody guesses");
    }

    #[test]
    fn the_same_text_in_another_chain_has_moved() {
        let then = chain(&[(1, "b drop")]);
        let mut now = chain(&[(5, "b drop")]);
        now[0].chain = "forward".into();
        let (fate, rule) = fate(&then[0], &then, &now);
        assert_eq!((fate, rule.map(|r| r.chain.as_str())), (Fate::Moved, Some("forward")));
    }

    #[test]
    fn equal_rules_of_a_chain_are_told_by_their_handle() {
        let rules = chain(&[(4, "b drop"), (5, "a"), (6, "b drop")]);
        let found = |handle| find(&rules, "inet filter", "input", handle, "b drop").map(|r| r.handle);
        assert_eq!((found(Some(6)), found(Some(99)), found(None)), (Some(6), Some(4), Some(4)));
        assert_eq!(find(&rules, "ip filter", "input", None, "b drop"), None);
    }
}
