//! What the parser says when it cannot go on. Only the way to an error comes through here, so that each function
//! may look at the whole text once.

use super::{Parser, cursor::ends_word};
use crate::{
    AddrRange, MAX_DEPTH,
    error::{Fault, shown},
    print, slips,
    values::{Raw, RawText},
};
use bartizan_schema::{Field, FieldKind};
use std::ops::Range;

impl Parser<'_> {
    /// Refuses a sign of negation that is meant as something else.
    pub(super) fn check_sign(&mut self, sign: char, at: usize) -> Result<(), Fault> {
        let rest = self.rest();
        if sign == '!' && rest.starts_with('=') {
            return Err(Fault::new(at..at + 2, "the opposite of `field:value` is `-field:value`"));
        }
        if sign == '!' || !rest.starts_with(|c: char| c.is_whitespace()) {
            return Ok(());
        }
        let gap = rest.len() - rest.trim_start().len();
        self.steps += gap;
        let next = self.pos + gap;
        let fault = Fault::new(at..at + 1, "`-` stands directly before what it negates");
        let ranged = self
            .previous
            .filter(|p| !matches!(p.kind, FieldKind::Text | FieldKind::Flags | FieldKind::Group));
        Err(match ranged {
            Some(previous)
                if self.text.get(next..).is_some_and(|t| t.starts_with(|c: char| c.is_ascii_hexdigit())) =>
            {
                fault.edit(previous.end..next, "-")
            }
            _ if next < self.text.len() => fault.edit(at..next, "-"),
            _ => fault.instead(""),
        })
    }

    /// Makes the proposal for a value fit the term that it stands in.
    pub(super) fn widen(
        &self,
        fault: Fault,
        field: &Field,
        start: usize,
        raws: &[Raw<'_>],
        negated: bool,
    ) -> Fault {
        let term = start..self.pos;
        let alone = raws.len() == 1;
        if let [Raw { text: RawText::Bare(text), .. }] = raws {
            if let Some(value) =
                text.strip_prefix('!').map(|t| t.trim_start_matches('=')).filter(|v| !v.is_empty())
            {
                let fault = Fault::new(fault.span, "the sign of negation stands before the field");
                return fault.edit(term, format!("-{}:{value}", field.name));
            }
            if fault.proposed().is_none()
                && let Some(other) = slips::misplaced(field, text, self.context)
            {
                return fault.edit(term, other);
            }
        }
        match fault.proposed() {
            // Two terms in the place of a value.
            Some(instead) if instead.contains(' ') && !instead.contains('"') => {
                let text = format!("{}:{instead}", field.name);
                match (alone, negated) {
                    (false, _) => fault.without_proposal(),
                    (true, true) => fault.edit(term, format!("({text})")),
                    (true, false) => fault.edit(term, text),
                }
            }
            _ => fault,
        }
    }

    pub(super) fn missing_term(&self, at: usize) -> Fault {
        let before = self.text.get(..at).unwrap_or_default().trim_end();
        let start = before.rfind(|c: char| c.is_whitespace() || c == '(').map_or(0, |i| i + 1);
        let start = before.ceil_char_boundary(start);
        let last = before.get(start..).unwrap_or_default();
        let span = start..before.len();
        match last.to_lowercase().as_str() {
            "and" | "or" | "not" => {
                Fault::new(span.clone(), format!("a term is missing after {}", last.to_uppercase()))
                    .instead("")
            }
            _ if last.ends_with(['-', '!']) => {
                let stem = last.trim_end_matches(['-', '!']).len();
                Fault::new(span.start + stem..span.end, "a term is missing after the sign of negation")
                    .instead("")
            }
            _ => Fault::new(at..at, "a term is missing here"),
        }
    }

    pub(super) fn stray_keyword(&self, span: Range<usize>) -> Fault {
        let word = self.text.get(span.clone()).unwrap_or_default();
        let message =
            format!("a term is missing before {}; quote it to search for the word", word.to_uppercase());
        Fault::new(span, message).instead("")
    }

    pub(super) fn stray_comma(&self, at: usize) -> Fault {
        let fault = Fault::new(at..at + 1, "a comma stands directly between two values of a field");
        match self.previous {
            Some(previous) => {
                let rest = self.text.get(at + 1..).unwrap_or_default();
                let gap = rest.len() - rest.trim_start().len();
                fault.edit(previous.end..at + 1 + gap, if rest.trim_start().is_empty() { "" } else { "," })
            }
            None => fault.instead(" "),
        }
    }

    pub(super) fn too_deep(&self, span: Range<usize>) -> Fault {
        Fault::new(span, format!("parentheses are nested deeper than {MAX_DEPTH}"))
    }

    pub(super) fn unknown_field(&mut self, name: &str, name_span: Range<usize>) -> Fault {
        let whole = name_span.start..self.end_of_value(name_span.end);
        let word = self.text.get(whole.clone()).unwrap_or_default();
        slips::unknown_field(self.kind, name, word, name_span, whole)
    }

    /// `name=value`: `value_at` is where the value starts.
    pub(super) fn comparison_slip(
        &mut self,
        name: &str,
        name_span: Range<usize>,
        operator: &str,
        value_at: usize,
    ) -> Fault {
        let whole = name_span.start..self.end_of_value(value_at);
        let known = bartizan_schema::field(&name.to_ascii_lowercase()).filter(|f| f.is_in(self.kind));
        let known = known.or_else(|| crate::suggest::field(self.kind, name));
        let value = self.text.get(value_at..whole.end).unwrap_or_default();
        match known {
            Some(field) if !value.is_empty() => {
                let message =
                    format!("a comparison is written `{0}:value`, its opposite `-{0}:value`", field.name);
                Fault::new(name_span.start..value_at, message)
                    .edit(whole, slips::compared(field, operator, value))
            }
            Some(field) => {
                let message =
                    format!("a comparison is written `{0}:value`, its opposite `-{0}:value`", field.name);
                Fault::new(name_span.start..value_at, message)
            }
            None => {
                let word = self.text.get(whole.clone()).unwrap_or_default();
                let message = format!("`{}` is not a term; quote it to search for the text", shown(word));
                Fault::new(whole.clone(), message).instead(print::quoted(word))
            }
        }
    }

    /// `dport:22 80`
    pub(super) fn split_list(&self, word: &str, span: &Range<usize>) -> Option<Fault> {
        let previous = self.previous?;
        let numeric =
            matches!(previous.kind, FieldKind::Port | FieldKind::Number | FieldKind::Asn | FieldKind::Proto)
                && word.starts_with(|c: char| c.is_ascii_digit())
                && word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if !numeric {
            return None;
        }
        let what = if previous.kind == FieldKind::Port { "port list" } else { "list" };
        let term = self.text.get(..previous.end)?;
        let term = term.get(term.rfind([' ', '(']).map_or(0, |i| i + 1)..)?;
        let message = format!("that is a {what}: {},{}", shown(term), shown(word));
        Some(Fault::new(span.clone(), message).edit(previous.end..span.start, ","))
    }

    /// Nothing where a value should be.
    pub(super) fn missing_value(&mut self, field: &'static Field, start: usize, first: bool) -> Fault {
        let at = self.pos;
        let rest = self.rest();
        let next = rest.trim_start();
        let gap = rest.len() - next.len();
        self.steps += gap;
        let word = next.find(ends_word).map_or(next, |end| next.get(..end).unwrap_or_default());
        let value_follows = gap > 0
            && !next.starts_with([',', ')', '('])
            && (AddrRange::parse(word).is_some() || !word.contains(':'))
            && !["and", "or", "not"].iter().any(|k| word.eq_ignore_ascii_case(k))
            && !word.starts_with(['-', '!', '&', '|'])
            && !next.is_empty();
        if first {
            let fault = Fault::new(start..at, format!("`{}:` needs a value, or * for any", field.name));
            return if value_follows { fault.edit(at..at + gap, "") } else { fault.edit(at..at, "*") };
        }
        let fault = Fault::new(at - 1..at, "a value is missing after the comma");
        if value_follows {
            return Fault::new(at - 1..at, "a list has no spaces").edit(at..at + gap, "");
        }
        fault.instead("")
    }

    /// `field:(a OR b)` or `field:{ a, b }`.
    pub(super) fn grouped(&mut self, open: char, close: char, field: &'static Field) -> Fault {
        let at = self.pos;
        let rest = self.rest();
        self.steps += rest.len();
        let name = field.name;
        let fault = Fault::new(at..at + open.len_utf8(), format!("a list is written `{name}:a,b`"));
        let inner = rest.strip_prefix(open).and_then(|t| t.split_once(close)).map(|(inner, _)| inner);
        match inner.and_then(|inner| Some((inner.len(), slips::grouped_list(inner)?))) {
            Some((len, list)) => {
                Fault::new(at..at + len + 2, format!("a list is written `{name}:a,b`")).instead(list)
            }
            None => fault,
        }
    }
}
