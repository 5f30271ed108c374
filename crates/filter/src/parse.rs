//! The parser: recursive descent over characters, each looked at a bounded number of times.

use crate::{
    AddrRange, Context, Expr, MAX_DEPTH, MAX_LEN, MAX_LIST, MAX_REGEXES, Term, TextPattern, Values, WORD,
    error::{Fault, shown},
    fold, print, slips,
    values::{self, Raw, RawText},
};
use bartizan_schema::{Field, FieldKind};
use std::ops::Range;

/// Parses a whole text; also gives the number of characters looked at.
pub(crate) fn parse(text: &str, context: &Context) -> (Result<Expr, Fault>, usize) {
    if text.len() > MAX_LEN {
        let from = text.floor_char_boundary(MAX_LEN);
        let message = format!("a filter has at most {MAX_LEN} bytes, this one {}; use a @set", text.len());
        return (Err(Fault::new(from..text.len(), message)), 1);
    }
    let mut parser = Parser { text, pos: 0, depth: 0, steps: 0, regexes: 0, context, previous: None };
    let result = parser.query();
    (result, parser.steps)
}

struct Parser<'a> {
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

/// What ends an unquoted value.
fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ')')
}

/// What ends a word outside a value.
fn ends_word(c: char) -> bool {
    ends_value(c) || matches!(c, '(' | '"')
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

    /// Refuses a sign of negation that is meant as something else.
    fn check_sign(&mut self, sign: char, at: usize) -> Result<(), Fault> {
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
        let ranged = self.previous.filter(|p| !matches!(p.kind, FieldKind::Text | FieldKind::Flags));
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
            self.pos = name_span.end + 1;
            return self.term(field, start, negated);
        }
        if name_len > 0
            && let Some((operator, value)) = slips::comparison(after)
        {
            return Err(self.comparison_slip(name, name_span, operator, span.end - value.len()));
        }
        if let Some(field) = field
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
        let whole = span.start..self.end_of_value(span.end);
        if word == "~" && self.text.get(span.end..).is_some_and(|t| t.starts_with('"')) {
            let fault = Fault::new(span.clone(), "a regular expression belongs to a text field");
            return Err(fault.edit(span.start..span.start, "prefix:"));
        }
        if let Some(fault) = slips::bare_word(word, span.clone()) {
            // A guess about the word alone is none if more is glued to it.
            return Err(if whole.end > span.end { fault.without_proposal() } else { fault });
        }
        if inner != word
            && let Some(fault) = slips::bare_word(inner, span.clone())
        {
            return Err(fault.instead(print::quoted(word)));
        }
        match self.text.get(span.end..).and_then(|t| t.chars().next()) {
            Some(',') => {
                let text = self.text.get(whole.clone()).unwrap_or_default();
                let message =
                    "a comma makes a list, and a list needs a field; quote it to search for the text";
                return Err(Fault::new(whole, message).instead(print::quoted(text)));
            }
            Some('(' | '"') => {
                let text = self.text.get(whole.clone()).unwrap_or_default();
                let message = "text with quotes or parentheses inside is itself quoted";
                return Err(Fault::new(whole, message).instead(print::quoted(text)));
            }
            _ => {}
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

    /// Makes the proposal for a value fit the term that it stands in.
    fn widen(&self, fault: Fault, field: &Field, start: usize, raws: &[Raw<'_>], negated: bool) -> Fault {
        let term = start..self.pos;
        let alone = raws.len() == 1;
        let named = self.text.get(start..).is_some_and(|t| !t.starts_with(|c: char| c.is_ascii_digit()));
        if let [Raw { text: RawText::Bare(text), .. }] = raws {
            if let Some(value) =
                text.strip_prefix('!').map(|t| t.trim_start_matches('=')).filter(|v| !v.is_empty())
            {
                let fault = Fault::new(fault.span, "the sign of negation stands before the field");
                return fault.edit(term, format!("-{}:{value}", field.name));
            }
            if !fault.has_proposal() && field.kind == FieldKind::Addr && slips::is_host_name(text) {
                return fault.edit(term, slips::host_term(text));
            }
        }
        match fault.proposed() {
            // Two terms in the place of a value.
            Some(instead) if instead.contains(' ') && !instead.contains('"') => {
                let prefix = if named { format!("{}:", field.name) } else { "ip:".to_owned() };
                let text = format!("{prefix}{instead}");
                match (alone, negated) {
                    (false, _) => fault.without_proposal(),
                    (true, true) => fault.edit(term, format!("({text})")),
                    (true, false) => fault.edit(term, text),
                }
            }
            _ => fault,
        }
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

    // What follows makes errors.

    fn missing_term(&self, at: usize) -> Fault {
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

    fn stray_keyword(&self, span: Range<usize>) -> Fault {
        let word = self.text.get(span.clone()).unwrap_or_default();
        let message =
            format!("a term is missing before {}; quote it to search for the word", word.to_uppercase());
        Fault::new(span, message).instead("")
    }

    fn stray_comma(&self, at: usize) -> Fault {
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

    fn too_deep(&self, span: Range<usize>) -> Fault {
        Fault::new(span, format!("parentheses are nested deeper than {MAX_DEPTH}"))
    }

    fn unknown_field(&mut self, name: &str, name_span: Range<usize>) -> Fault {
        let whole = name_span.start..self.end_of_value(name_span.end);
        let word = self.text.get(whole.clone()).unwrap_or_default();
        slips::unknown_field(name, word, name_span, whole)
    }

    /// `name=value`: `value_at` is where the value starts.
    fn comparison_slip(
        &mut self,
        name: &str,
        name_span: Range<usize>,
        operator: &str,
        value_at: usize,
    ) -> Fault {
        let whole = name_span.start..self.end_of_value(value_at);
        let known =
            bartizan_schema::field(&name.to_ascii_lowercase()).or_else(|| crate::suggest::field(name));
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
    fn split_list(&self, word: &str, span: &Range<usize>) -> Option<Fault> {
        let previous = self.previous?;
        let numeric = matches!(previous.kind, FieldKind::Port | FieldKind::Number | FieldKind::Proto)
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
    fn missing_value(&mut self, field: &'static Field, start: usize, first: bool) -> Fault {
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
    fn grouped(&mut self, open: char, close: char, field: &'static Field) -> Fault {
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

    // Below is what moves through the text; everything that looks at a character counts it.

    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self, c: char) {
        self.advance(c.len_utf8());
    }

    fn advance(&mut self, bytes: usize) {
        self.pos += bytes;
        self.steps += bytes;
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek().filter(|c| c.is_whitespace()) {
            self.bump(c);
        }
    }

    /// What lies ahead up to a character that ends it.
    fn peek_until(&mut self, ends: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let ahead = rest.find(ends).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        self.steps += ahead.len() + 1;
        ahead
    }

    /// The next space or the end, for the span of what cannot be read.
    fn end_of_value(&mut self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.steps += len;
        // A parenthesis that was opened outside belongs to the outside.
        let text = rest.get(..len).unwrap_or_default();
        let mut open = 0_i32;
        for (i, c) in text.char_indices() {
            match c {
                '(' => open += 1,
                ')' if open == 0 => return from + i,
                ')' => open -= 1,
                _ => {}
            }
        }
        from + len
    }

    /// Whether the next word is a keyword. Looks at four characters at most.
    fn at_keyword(&mut self, keyword: &str) -> bool {
        self.steps += keyword.len() + 1;
        let rest = self.rest();
        rest.get(..keyword.len()).is_some_and(|word| word.eq_ignore_ascii_case(keyword))
            && rest.get(keyword.len()..).is_some_and(|after| after.chars().next().is_none_or(ends_word))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let found = self.at_keyword(keyword);
        if found {
            self.advance(keyword.len());
        }
        found
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
