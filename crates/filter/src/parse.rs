//! The parser: recursive descent over characters, each looked at a bounded number of times.

mod cursor;
mod faults;

use crate::{
    AddrRange, Context, Expr, MAX_DEPTH, MAX_LEN, MAX_LIST, MAX_REGEXES, Term, TextPattern, Values, WORD,
    error::Fault,
    fold, print, slips,
    values::{self, Raw, RawText},
};
use bartizan_model::Kind;
use bartizan_schema::{Field, FieldKind};
use cursor::{ends_value, ends_word};
use std::ops::Range;

/// Parses a whole text; also gives the number of characters looked at.
pub(crate) fn parse(kind: Kind, text: &str, context: &Context) -> (Result<Expr, Fault>, usize) {
    if text.len() > MAX_LEN {
        let from = text.floor_char_boundary(MAX_LEN);
        let message = format!("a filter has at most {MAX_LEN} bytes, this one {}; use a @set", text.len());
        return (Err(Fault::new(from..text.len(), message)), 1);
    }
    let mut parser = Parser { kind, text, pos: 0, depth: 0, steps: 0, regexes: 0, context, previous: None };
    let result = parser.query();
    (result, parser.steps)
}

struct Parser<'a> {
    /// Whose rows it is for.
    kind: Kind,
    text: &'a str,
    pos: usize,
    depth: usize,
    steps: usize,
    regexes: usize,
    context: &'a Context,
    /// The term before, if nothing but space has come since.
    previous: Option<Previous>,
}

#[derive(Clone, Copy)]
struct Previous {
    kind: FieldKind,
    end: usize,
}

impl<'a> Parser<'a> {
    fn query(&mut self) -> Result<Expr, Fault> {
        self.skip_space();
        if self.rest().is_empty() {
            return Ok(Expr::All);
        }
        let expr = self.or()?;
        if self.peek() == Some(')') {
            let fault = Fault::new(self.pos..self.pos + 1, "this parenthesis was never opened");
            return Err(fault.instead(""));
        }
        if print::depth(&expr) > MAX_DEPTH {
            return Err(self.too_deep(0..self.text.len()));
        }
        let mut length = Length(0);
        if print::filter(&expr, &mut length).is_err() || length.0 > MAX_LEN {
            let message = format!("written out in full the filter has more than {MAX_LEN} bytes; use a @set");
            return Err(Fault::new(0..self.text.len(), message));
        }
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr, Fault> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            self.previous = None;
            parts.push(self.and()?);
        }
        Ok(Expr::or(parts))
    }

    fn and(&mut self) -> Result<Expr, Fault> {
        let mut parts = vec![self.unary()?];
        loop {
            self.skip_space();
            if matches!(self.peek(), None | Some(')')) || self.at_keyword("or") {
                return Ok(Expr::and(parts));
            }
            if self.keyword("and") {
                self.previous = None;
            }
            parts.push(self.unary()?);
        }
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let mut negated = false;
        loop {
            self.skip_space();
            let at = self.pos;
            match self.peek() {
                Some(sign @ ('-' | '!')) => {
                    self.bump(sign);
                    self.check_sign(sign, at)?;
                }
                _ if self.keyword("not") => {}
                _ => break,
            }
            self.previous = None;
            negated = !negated;
        }
        let expr = self.primary(negated)?;
        Ok(if negated { Expr::negate(expr) } else { expr })
    }

    fn primary(&mut self, negated: bool) -> Result<Expr, Fault> {
        let at = self.pos;
        match self.peek() {
            None => Err(self.missing_term(at)),
            Some(')')
                if self.depth > 0 && self.text.get(..at).is_some_and(|t| t.trim_end().ends_with('(')) =>
            {
                let open = self.text.get(..at).and_then(|t| t.rfind('(')).unwrap_or(at);
                Err(Fault::new(open..at + 1, "there is nothing between the parentheses").instead(""))
            }
            Some(')') if self.depth == 0 => {
                Err(Fault::new(at..at + 1, "this parenthesis was never opened").instead(""))
            }
            Some(')') => Err(self.missing_term(at)),
            Some('(') => self.group(),
            Some('"') => {
                let text = self.quoted(at)?;
                self.check_after_quotes(at)?;
                if text.is_empty() {
                    return Err(Fault::new(at..self.pos, "there is no text between the quotes").instead(""));
                }
                self.previous = None;
                Ok(word_term(TextPattern::Substring(fold(&text))))
            }
            Some(_) => self.word(negated),
        }
    }

    fn group(&mut self) -> Result<Expr, Fault> {
        let open = self.pos;
        self.bump('(');
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep(open..open + 1));
        }
        self.previous = None;
        let expr = self.or()?;
        if self.peek() != Some(')') {
            let end = self.text.len();
            return Err(Fault::new(open..open + 1, "this parenthesis is never closed").edit(end..end, ")"));
        }
        self.bump(')');
        self.depth -= 1;
        self.previous = None;
        Ok(expr)
    }

    /// A term that starts with neither a sign, a quote nor a parenthesis.
    fn word(&mut self, negated: bool) -> Result<Expr, Fault> {
        let start = self.pos;
        let word = self.peek_until(ends_word);
        let span = start..start + word.len();
        if word.is_empty() {
            return Err(self.stray_comma(start));
        }
        if ["and", "or"].iter().any(|k| word.eq_ignore_ascii_case(k)) {
            return Err(self.stray_keyword(span));
        }
        if let Some(fault) = slips::operator(word, span.clone()) {
            return Err(fault);
        }
        if AddrRange::parse(word).is_some()
            && let Some(field) = bartizan_schema::field("ip")
        {
            if !field.is_in(self.kind) {
                return Err(slips::no_addresses(self.kind, word, span));
            }
            return self.term(field, start, negated);
        }
        let name_len = if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            word.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
                .unwrap_or(word.len())
        } else {
            0
        };
        let (name, after) = word.split_at_checked(name_len).unwrap_or((word, ""));
        let name_span = start..start + name.len();
        let field = bartizan_schema::field(&name.to_ascii_lowercase());
        if name_len > 0 && after.starts_with(':') {
            let Some(field) = field else { return Err(self.unknown_field(name, name_span)) };
            if !field.is_in(self.kind) {
                return Err(slips::other_tables_field(self.kind, field, name_span));
            }
            self.pos = name_span.end + 1;
            return self.term(field, start, negated);
        }
        if name_len > 0
            && let Some((operator, value)) = slips::comparison(after)
        {
            return Err(self.comparison_slip(name, name_span, operator, span.end - value.len()));
        }
        if let Some(field) = field.filter(|f| f.is_in(self.kind))
            && after.is_empty()
        {
            let rest = self.text.get(span.end..).unwrap_or_default();
            return Err(slips::lone_field(field, name, span, rest));
        }
        self.bare_text(word, span)
    }

    fn bare_text(&mut self, word: &str, span: Range<usize>) -> Result<Expr, Fault> {
        let inner = word.trim_matches('*');
        if self.previous.is_some()
            && let Some(fault) = self.split_list(word, &span)
        {
            return Err(fault);
        }
        let next = self.text.get(span.end..).and_then(|t| t.chars().next());
        let glued = next.is_some_and(|c| matches!(c, ',' | '(' | '"'));
        if word == "~" && self.text.get(span.end..).is_some_and(|t| t.starts_with('"')) {
            let fault = Fault::new(span.clone(), "a regular expression belongs to a text field");
            return Err(fault.edit(span.start..span.start, "prefix:"));
        }
        if let Some(fault) = slips::bare_word(word, span.clone()) {
            // A guess about the word alone is none if more is glued to it.
            return Err(if glued { fault.without_proposal() } else { fault });
        }
        if inner != word
            && let Some(fault) = slips::bare_word(inner, span.clone())
        {
            return Err(fault.instead(print::quoted(inner)));
        }
        if glued {
            let whole = span.start..self.end_of_value(span.end);
            let text = self.text.get(whole.clone()).unwrap_or_default();
            let message = match next {
                Some(',') => {
                    "a comma makes a list, and a list needs a field; quote it to search for the text"
                }
                _ => "text with quotes or parentheses inside is itself quoted",
            };
            return Err(Fault::new(whole, message).instead(print::quoted(text)));
        }
        self.advance(word.len());
        self.previous = None;
        if inner.is_empty() {
            return Ok(Expr::All);
        }
        Ok(word_term(if inner.contains(['*', '?']) {
            TextPattern::Glob(values::collapse(&format!("*{}*", fold(inner))))
        } else {
            TextPattern::Substring(fold(inner))
        }))
    }

    /// `field:value,value`, from the first value on.
    fn term(&mut self, field: &'static Field, start: usize, negated: bool) -> Result<Expr, Fault> {
        let mut raws = Vec::new();
        loop {
            if raws.len() >= MAX_LIST {
                let message = format!("a list has at most {MAX_LIST} values; use a @set");
                return Err(Fault::new(start..self.pos, message));
            }
            raws.push(self.value(field, start, raws.is_empty())?);
            if self.peek() != Some(',') {
                break;
            }
            self.bump(',');
        }
        let values = values::typed(field, &raws, self.context)
            .map_err(|fault| self.widen(fault, field, start, &raws, negated))?;
        self.previous = Some(Previous { kind: field.kind, end: self.pos });
        Ok(Expr::Term(Term { field, values }))
    }

    /// One value; afterwards the parser stands at a comma, a space, a closing parenthesis or the end.
    fn value(&mut self, field: &'static Field, start: usize, first: bool) -> Result<Raw<'a>, Fault> {
        let at = self.pos;
        match self.peek() {
            Some('"') => {
                let text = self.quoted(at)?;
                self.check_after_quotes(at)?;
                Ok(Raw { span: at..self.pos, text: RawText::Quoted(text) })
            }
            Some('~') if self.rest().starts_with("~\"") => {
                self.bump('~');
                let text = self.quoted(at)?;
                self.check_after_quotes(at)?;
                self.regexes += 1;
                if self.regexes > MAX_REGEXES {
                    let message = format!("a filter has at most {MAX_REGEXES} regular expressions");
                    return Err(Fault::new(at..self.pos, message));
                }
                Ok(Raw { span: at..self.pos, text: RawText::Regex(text) })
            }
            Some('(') => Err(self.grouped('(', ')', field)),
            Some('{') => Err(self.grouped('{', '}', field)),
            Some(c) if !ends_value(c) => {
                let text = self.peek_until(ends_word);
                self.advance(text.len());
                if let Some('(' | '"') = self.peek() {
                    let whole = at..self.end_of_value(self.pos);
                    let inside = self.text.get(whole.clone()).unwrap_or_default();
                    let message = "a value with quotes or parentheses inside is itself quoted";
                    return Err(Fault::new(whole, message).instead(print::quoted(inside)));
                }
                Ok(Raw { span: at..self.pos, text: RawText::Bare(text) })
            }
            _ => Err(self.missing_value(field, start, first)),
        }
    }

    /// The text between quotes; `start` is where the value starts, for the error.
    fn quoted(&mut self, start: usize) -> Result<String, Fault> {
        self.bump('"');
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.bump(c);
            match c {
                '"' => return Ok(out),
                '\\' => match self.peek() {
                    Some(escaped @ ('"' | '\\')) => {
                        self.bump(escaped);
                        out.push(escaped);
                    }
                    // So that the proposal closes the quotes instead of escaping them.
                    None => return Err(self.unterminated(start, "\\\"")),
                    Some(_) => out.push('\\'),
                },
                _ => out.push(c),
            }
        }
        Err(self.unterminated(start, "\""))
    }

    fn unterminated(&self, start: usize, close: &str) -> Fault {
        let end = self.text.len();
        Fault::new(start..end, "the quotes are never closed").edit(end..end, close)
    }

    fn check_after_quotes(&self, start: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(c) if !ends_value(c) => {
                let fault = Fault::new(start..self.pos, "a space or a comma belongs after closing quotes");
                Err(fault.edit(self.pos..self.pos, " "))
            }
            _ => Ok(()),
        }
    }
}

fn word_term(pattern: TextPattern) -> Expr {
    Expr::Term(Term { field: &WORD, values: Values::Text(vec![pattern]) })
}

/// Counts what is printed, and stops when it is too much.
struct Length(usize);

impl std::fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        if self.0 > MAX_LEN { Err(std::fmt::Error) } else { Ok(()) }
    }
}
