//! Comparing text: without case, in time linear in the value for a regular expression.

use regex::{Regex, RegexBuilder};
use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

/// Largest compiled regular expression, in bytes. `\w{50}` and any sane list of words fit.
const MAX_COMPILED: usize = 512 * 1024;
/// Deepest nesting inside a regular expression.
const MAX_NEST: u32 = 50;

/// Text without case: each character by its Unicode lower case.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// As [`fold`], into a buffer that is emptied first.
pub(crate) fn fold_into(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// One way in which a text is compared. All but the regular expression are in lower case, see [`fold`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextPattern {
    /// The whole value.
    Whole(String),
    /// The whole value, where `*` is any characters and `?` is any one; neither can be escaped.
    Glob(String),
    /// Anywhere in the value. Only of [`crate::WORD`].
    Substring(String),
    /// Anywhere in the value, without case unless it says `(?-i)`.
    Regex(Pattern),
}

impl TextPattern {
    /// Whether a value matches. Folds the value: [`crate::Matcher`] does so once for a list.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        self.is_match_folded(value, &fold(value))
    }

    /// As `is_match`, of a value and its folded form.
    pub(crate) fn is_match_folded(&self, value: &str, folded: &str) -> bool {
        match self {
            Self::Whole(text) => folded == text,
            Self::Glob(glob) => glob_matches(glob, folded),
            Self::Substring(text) => folded.contains(text.as_str()),
            Self::Regex(pattern) => pattern.regex.is_match(value),
        }
    }
}

/// A regular expression of bounded size. Two are the same if they are written the same.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles one.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text)
            .case_insensitive(true)
            .nest_limit(MAX_NEST)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map(|regex| Self { regex })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "too large when compiled".to_owned(),
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            })
    }

    /// As it is written, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// The compiled form; it is without case by a flag, not by its text.
    #[must_use]
    pub const fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

/// Two pointers, and one place to come back to: the last star. Time is at most the product of the lengths.
fn glob_matches(glob: &str, value: &str) -> bool {
    let (mut glob_rest, mut value_rest) = (glob, value);
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let mut after_glob = glob_rest.chars();
        let mut after_value = value_rest.chars();
        match (after_glob.next(), after_value.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                glob_rest = after_glob.as_str();
                retry = Some((glob_rest, value_rest));
            }
            (Some(g), Some(v)) if g == '?' || g == v => {
                glob_rest = after_glob.as_str();
                value_rest = after_value.as_str();
            }
            _ => {
                let Some((glob_at, value_at)) = retry else { return false };
                let mut next = value_at.chars();
                if next.next().is_none() {
                    return false;
                }
                glob_rest = glob_at;
                value_rest = next.as_str();
                retry = Some((glob_at, value_rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, value, expected) in [
            ("web*", "web-01", true),
            ("web*", "my-web", false),
            ("*web*", "my-web-01", true),
            ("w?b", "wéb", true),
            ("w?b", "wb", false),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybzcd", false),
            ("*aab", "aaaaab", true),
            ("?", "", false),
            ("*?", "", false),
            ("*?", "x", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob_matches(glob, value), expected, "{glob} {value}");
        }
    }

    #[test]
    fn text_is_compared_without_case() {
        assert!(TextPattern::Whole(fold("ÜBEL-Host")).is_match("übel-HOST"));
        assert!(TextPattern::Substring(fold("UFW block")).is_match("[ufw BLOCK] "));
        assert!(TextPattern::Regex(Pattern::new("^in-\\d+$").unwrap()).is_match("IN-22"));
        assert!(!TextPattern::Regex(Pattern::new("(?-i)^in").unwrap()).is_match("IN-22"));
    }

    #[test]
    fn regular_expressions_are_bounded() {
        assert!(Pattern::new(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
        assert_eq!(Pattern::new("(\\w{500}){500}").unwrap_err(), "too large when compiled");
        assert_eq!(Pattern::new("a(b").unwrap_err(), "unclosed group");
    }
}
