//! The ruleset as the listing tools print it.
//!
//! Whoever has the rights starts a tool ([`Open::list`]); this reads what it prints, up to a limit. The tools are
//! `nft`, and where they are needed `iptables-save` and its relatives: where nft says that a table or a
//! match is iptables', and for iptables-legacy, which nft does not see.

use crate::open::Open;
use bartizan_netfilter::Netns;
use bartizan_ruleset::{Form, Listing};
use std::fs::File;
use std::io::{self, Read as _};

/// More of one form is not read; the rest is missing, and the ruleset is told to be incomplete.
const MOST: u64 = 16 << 20;

/// A tool: its names, in the order in which they are tried, and what it is told.
pub(crate) struct Tool {
    pub(crate) programs: &'static [&'static str],
    pub(crate) args: &'static [&'static str],
}

/// What prints a form.
pub(crate) const fn tool(form: Form) -> Tool {
    match form {
        Form::Nft => Tool { programs: &["nft"], args: &["-s", "-a", "list", "ruleset"] },
        Form::NftJson => Tool { programs: &["nft"], args: &["-s", "-j", "list", "ruleset"] },
        Form::IptablesSave => Tool { programs: &["iptables-nft-save", "iptables-save"], args: &[] },
        Form::Ip6tablesSave => Tool { programs: &["ip6tables-nft-save", "ip6tables-save"], args: &[] },
        Form::IptablesLegacySave => Tool { programs: &["iptables-legacy-save"], args: &[] },
        Form::Ip6tablesLegacySave => Tool { programs: &["ip6tables-legacy-save"], args: &[] },
    }
}

/// The whole listing of a namespace.
pub(crate) fn read(open: &dyn Open, netns: &Netns) -> io::Result<Listing> {
    let mut all = Vec::new();
    for form in [Form::Nft, Form::NftJson] {
        let text = print(open, netns, form)?;
        all.extend(text.map(|text| (form, text)));
    }
    // without nft, iptables is the only one to ask
    if all.is_empty() || all.iter().any(|(_, text)| of_iptables(text)) {
        for form in [Form::IptablesSave, Form::Ip6tablesSave] {
            let text = print(open, netns, form)?;
            all.extend(text.filter(|text| has_rules(text)).map(|text| (form, text)));
        }
    }
    all.extend(legacy(open, netns)?);
    Ok(Listing(all))
}

/// What iptables-legacy has; nothing where it is not used.
pub(crate) fn legacy(open: &dyn Open, netns: &Netns) -> io::Result<Vec<(Form, String)>> {
    let mut all = Vec::new();
    for form in [Form::IptablesLegacySave, Form::Ip6tablesLegacySave] {
        let text = print(open, netns, form)?;
        all.extend(text.filter(|text| has_rules(text)).map(|text| (form, without_comments(&text))));
    }
    Ok(all)
}

/// What one tool prints; `None` where there is no such tool.
fn print(open: &dyn Open, netns: &Netns, form: Form) -> io::Result<Option<String>> {
    let Some(pipe) = open.list(netns, form)? else { return Ok(None) };
    let mut bytes = Vec::new();
    File::from(pipe).take(MOST).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

/// nft names what only iptables understands; of iptables' tables some versions warn where nobody reads it, so that
/// the built-in chains, which nobody else writes in capitals, are a sign as well.
fn of_iptables(text: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "iptables",
        "xt match",
        "xt target",
        "\"xt\"",
        "chain INPUT {",
        "chain FORWARD {",
        "chain OUTPUT {",
        "chain PREROUTING {",
        "chain POSTROUTING {",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

fn has_rules(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('*'))
}

/// Without the lines that hold the time and the counters of policies, so that equal rules are equal texts.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = match line.strip_prefix(':').and_then(|l| l.rsplit_once(" [")) {
            Some((chain, _)) => format!(":{chain} [0:0]"),
            None => line.to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_listing_is_the_same_while_only_its_counters_grow() {
        let text = |time: &str, n: u32| {
            format!("# Generated on {time}\n*filter\n:INPUT DROP [{n}:60]\n-A INPUT -j LOG\nCOMMIT\n")
        };
        let (one, two) = (text("Monday", 1), text("Tuesday", 2));
        assert_eq!(without_comments(&one), without_comments(&two));
        assert!(without_comments(&one).contains(":INPUT DROP [0:0]\n-A INPUT -j LOG\n"));
        assert!(has_rules(&one) && !has_rules("# Generated on Monday\n"));
    }
}
