//! The action that a log prefix names.
//!
//! A log rule does not know the verdict, but whoever wrote it usually says so in the prefix: psad and logwatch
//! made a convention of the words, and the firewall managers follow it. The prefix is cut into words and the
//! last word of the table decides, because managers write names of zones, policies and chains first and what
//! became of the packet last (`filter_IN_policy_allow-host-ipv6_REJECT: `).
//!
//! What it does not do: guess. A prefix without one of the words gives [`Action::Log`].

use bartizan_model::Action;

/// Every word with what it says. Lower case.
const WORDS: &[(&str, Action)] = &[
    ("drop", Action::Drop),
    ("drops", Action::Drop),
    ("dropped", Action::Drop),
    ("dropping", Action::Drop),
    ("deny", Action::Drop),
    ("denied", Action::Drop),
    ("block", Action::Drop),
    ("blocked", Action::Drop),
    ("blk", Action::Drop),
    ("discard", Action::Drop),
    ("discarded", Action::Drop),
    ("reject", Action::Reject),
    ("rejected", Action::Reject),
    ("refuse", Action::Reject),
    ("refused", Action::Reject),
    ("accept", Action::Accept),
    ("accepted", Action::Accept),
    ("allow", Action::Accept),
    ("allowed", Action::Accept),
    ("pass", Action::Accept),
    ("passed", Action::Accept),
    ("permit", Action::Accept),
    ("permitted", Action::Accept),
];

/// The action that a log prefix names, or [`Action::Log`].
///
/// Words end at every character that is no letter (so at blanks, digits and `_-:[]`) and where the case
/// changes (`inDrop`, `INDrop`); only whole words count (`backdrop`, `passwd` say nothing). Ubiquiti's
/// `[ruleset-number-D]` decides by its last letter. What kube-router writes behind `by policy` is the policy's
/// name and does not count, and `not allowed` is no permission.
#[must_use]
pub fn action_of(prefix: &str) -> Action {
    if let Some(action) = ubiquiti(prefix) {
        return action;
    }
    let said = prefix.find(" by policy ").map_or(prefix, |at| &prefix[..at]);
    let mut action = Action::Log;
    let mut negated = false;
    for word in Words(said) {
        match WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)) {
            Some((_, named)) if !negated => action = *named,
            _ => {}
        }
        negated = word.eq_ignore_ascii_case("not");
    }
    action
}

/// EdgeOS and UniFi: `[WAN_LOCAL-default-D]`.
fn ubiquiti(prefix: &str) -> Option<Action> {
    let inside = prefix.trim().strip_prefix('[')?.strip_suffix(']')?;
    match inside.rsplit_once('-')?.1 {
        "D" => Some(Action::Drop),
        "R" => Some(Action::Reject),
        "A" => Some(Action::Accept),
        _ => None,
    }
}

/// Runs of letters, cut once more where the case changes. Letters outside ASCII are letters without case.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.0.find(is_letter)?;
        let rest = &self.0[start..];
        let end = word_end(rest.as_bytes());
        let (word, left) = rest.split_at(end);
        self.0 = left;
        Some(word)
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii()
}

/// The length of the word that `bytes` starts with. Cuts lie between two ASCII bytes or at one, so that they
/// are character boundaries.
fn word_end(bytes: &[u8]) -> usize {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let mut i = 1;
    while i < bytes.len() {
        let (before, here, after) = (at(i - 1), at(i), at(i + 1));
        let letter = here.is_ascii_alphabetic() || !here.is_ascii();
        let hump = before.is_ascii_lowercase() && here.is_ascii_uppercase();
        let capital = before.is_ascii_uppercase() && here.is_ascii_uppercase() && after.is_ascii_lowercase();
        if !letter || hump || capital {
            break;
        }
        i += 1;
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dialects() {
        use Action::{Accept, Drop, Log, Reject};
        for (prefix, action) in [
            // UFW
            ("[UFW BLOCK] ", Drop),
            ("[UFW ALLOW] ", Accept),
            ("[UFW LIMIT BLOCK] ", Drop),
            ("[UFW AUDIT] ", Log),
            ("[UFW AUDIT INVALID] ", Log),
            ("[UFW LIMIT] ", Log),
            ("[UFW DOCKER BLOCK] ", Drop),
            // firewalld
            ("filter_IN_public_REJECT: ", Reject),
            ("filter_FWD_public_DROP: ", Drop),
            ("STATE_INVALID_DROP: ", Drop),
            ("FINAL_REJECT: ", Reject),
            ("filter_IN_public_ICMP_BLOCK: ", Drop),
            ("rpfilter_DROP: ", Drop),
            ("RFC3964_IPv4_REJECT: ", Reject),
            ("public_REJECT: ", Reject),
            ("filter_IN_policy_allow-host-ipv6_REJECT: ", Reject),
            // Shorewall
            ("net-fw DROP ", Drop),
            ("net-fw REJECT 3 ", Reject),
            ("loc-net ACCEPT ", Accept),
            ("Shorewall:net2fw:DROP:", Drop),
            ("Shorewall:logdrop:ACCEPT:", Accept),
            // fwbuilder, FirewallFabrik
            ("RULE 4 -- DENY ", Drop),
            ("RULE 12 -- ACCEPT ", Accept),
            ("RULE 12 -- REJECT ", Reject),
            ("INVALID state -- DENY ", Drop),
            // Foomuuri
            ("public-localhost DROP ", Drop),
            ("internal-public REJECT ", Reject),
            // Ubiquiti
            ("[WAN_LOCAL-default-D]", Drop),
            ("[WAN_IN-3001-A]", Accept),
            ("[LAN_IN-20-R]", Reject),
            ("[WAN_ALLOW-20-D]", Drop),
            ("[WAN-LOCAL-X]", Log),
            // Kubernetes
            ("calico-packet: ", Log),
            ("DROP by policy default/allow-dns", Drop),
            // by hand
            ("IN-SSH drop: ", Drop),
            ("inDrop ", Drop),
            ("INDrop", Drop),
            ("dropped:", Drop),
            ("denied in:", Drop),
            ("blk-", Drop),
            ("refuse ", Reject),
            ("permit=", Accept),
            ("pass ", Accept),
            ("DROP2 ", Drop),
            ("not allowed: ", Log),
            ("drop: not allowed ", Drop),
            // parts of words
            ("backdrop ", Log),
            ("passwd ", Log),
            ("blocklist ", Log),
            ("undenied ", Log),
            ("", Log),
            ("x ", Log),
            ("drøp ", Log),
        ] {
            assert_eq!(action_of(prefix), action, "{prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in any::<String>()) {
            let _ = action_of(&text);
        }

        #[test]
        fn words_are_letters_of_the_text(text in "[a-zA-Z0-9 _é\\]\\[:-]{0,40}") {
            for word in Words(&text) {
                prop_assert!(!word.is_empty() && word.chars().all(is_letter));
            }
            let letters: String = text.chars().filter(|c| is_letter(*c)).collect();
            prop_assert_eq!(Words(&text).collect::<String>(), letters);
        }
    }
}
