use std::ops::Range;

/// How much of a long filter is shown on either side of the mistake, in characters.
const SHOWN_AROUND: usize = 50;

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Where, in bytes of the text; always on character boundaries and inside the text. It may be empty.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant: a replacement of the whole text.
    pub proposal: Option<String>,
    /// A name is not known here, and somebody who knows more (sets, groups, services) may understand the filter.
    pub unknown_name: bool,
}

impl FilterError {
    /// The error for a terminal: message, the filter with carets under the mistake, the proposal. Control and
    /// direction-changing characters of the filter are escaped, a long filter is cut around the mistake.
    #[must_use]
    pub fn render(&self, text: &str, color: bool) -> String {
        let paint = |code: &str, what: &str| match color {
            true => format!("\u{1b}[{code}m{what}\u{1b}[0m"),
            false => what.to_owned(),
        };
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let before = text.get(..start).unwrap_or_default();
        let inside = text.get(start..end).unwrap_or_default();
        let after = text.get(end..).unwrap_or_default();

        let skipped = before.chars().count().saturating_sub(SHOWN_AROUND);
        let mut line = String::from(if skipped > 0 { "…" } else { "" });
        before.chars().skip(skipped).for_each(|c| escape(c, &mut line));
        let indent = line.chars().count();
        push_cut(inside, 2 * SHOWN_AROUND, &mut line);
        let carets = line.chars().count().saturating_sub(indent).max(1);
        push_cut(after, SHOWN_AROUND, &mut line);

        let mut out = paint("1;31", "filter error:");
        out.push(' ');
        self.message.chars().for_each(|c| escape(c, &mut out));
        out.push_str(&format!(
            "\n  {line}\n  {}{}\n",
            " ".repeat(indent),
            paint("1;31", &"^".repeat(carets))
        ));
        if let Some(proposal) = &self.proposal {
            let mut shown = String::new();
            push_cut(proposal, 4 * SHOWN_AROUND, &mut shown);
            out.push_str(&format!("  did you mean: {}\n", paint("1;32", &shown)));
        }
        out
    }
}

/// The nearest character boundary at or before a position.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

fn push_cut(text: &str, max: usize, out: &mut String) {
    let mut chars = text.chars();
    chars.by_ref().take(max).for_each(|c| escape(c, out));
    if chars.next().is_some() {
        out.push('…');
    }
}

/// Escapes what could move a terminal's cursor or reorder its text.
fn escape(c: char, out: &mut String) {
    let reorders =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || reorders {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// An error on its way up: the proposal is still an edit.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Range<usize>,
    message: String,
    edit: Option<(Range<usize>, String)>,
    unknown_name: bool,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), edit: None, unknown_name: false }
    }

    /// Proposes to put something else in the place of the mistake.
    pub(crate) fn instead(self, text: impl Into<String>) -> Self {
        let span = self.span.clone();
        self.edit(span, text)
    }

    /// Proposes to put something else in the place of a range.
    pub(crate) fn edit(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        self.edit = Some((range, text.into()));
        self
    }

    /// Says that another context may know the name.
    pub(crate) fn of_a_name(mut self) -> Self {
        self.unknown_name = true;
        self
    }

    /// What it proposes to put in.
    pub(crate) fn proposed(&self) -> Option<&str> {
        self.edit.as_ref().map(|(_, text)| text.as_str())
    }

    /// Without its proposal.
    pub(crate) fn without_proposal(self) -> Self {
        Self { edit: None, ..self }
    }

    pub(crate) fn into_error(self, text: &str) -> FilterError {
        let proposal = self.edit.and_then(|(range, with)| {
            let before = text.get(..range.start)?;
            let after = text.get(range.end..)?;
            let rest = after.trim_start();
            // What is taken out leaves no second space behind.
            let (before, after) = match () {
                () if !with.is_empty() => (before, after),
                () if rest.is_empty() || rest.starts_with(')') => (before.trim_end(), rest),
                () if before.ends_with(char::is_whitespace) || before.ends_with('(') => (before, rest),
                () => (before, after),
            };
            Some(format!("{before}{with}{after}").trim().to_owned()).filter(|text| !text.is_empty())
        });
        FilterError { span: self.span, message: self.message, proposal, unknown_name: self.unknown_name }
    }
}

/// A piece of the text for a message: not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}
