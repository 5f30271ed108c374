//! Moving through the text. Everything that looks at a character counts it.

use super::Parser;

/// What ends an unquoted value.
pub(super) fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ')')
}

/// What ends a word outside a value.
pub(super) fn ends_word(c: char) -> bool {
    ends_value(c) || matches!(c, '(' | '"')
}

impl<'a> Parser<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self, c: char) {
        self.advance(c.len_utf8());
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.pos += bytes;
        self.steps += bytes;
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(c) = self.peek().filter(|c| c.is_whitespace()) {
            self.bump(c);
        }
    }

    /// What lies ahead up to a character that ends it.
    pub(super) fn peek_until(&mut self, ends: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let ahead = rest.find(ends).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        self.steps += ahead.len() + 1;
        ahead
    }

    /// The next space or the end, for the span of what cannot be read.
    pub(super) fn end_of_value(&mut self, from: usize) -> usize {
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
    pub(super) fn at_keyword(&mut self, keyword: &str) -> bool {
        self.steps += keyword.len() + 1;
        let rest = self.rest();
        rest.get(..keyword.len()).is_some_and(|word| word.eq_ignore_ascii_case(keyword))
            && rest.get(keyword.len()..).is_some_and(|after| after.chars().next().is_none_or(ends_word))
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let found = self.at_keyword(keyword);
        if found {
            self.advance(keyword.len());
        }
        found
    }
}
