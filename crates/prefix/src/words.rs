//! The action that a prefix names by a word.
//!
//! psad and logwatch made a convention of the words, and the firewall managers follow it. The prefix is cut into words and the
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
/// changes (`inDrop`, `INDrop`); only whole words count (`backdrop`, `passwd` say nothing), and `not allowed` is no
/// permission.
pub(crate) fn action_of(prefix: &str) -> Action {
    let mut action = Action::Log;
    let mut negated = false;
    for word in Words(prefix) {
        match WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)) {
            Some((_, named)) if !negated => action = *named,
            _ => {}
        }
        negated = word.eq_ignore_ascii_case("not");
    }
    action
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
    fn words_by_hand() {
        use Action::{Accept, Drop, Log, Reject};
        for (prefix, action) in [
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
