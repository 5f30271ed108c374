use super::MAX_DEPTH;
use crate::ulogd::Value;

/// Why a text is no JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It ends before the value does.
    Ends,
    /// Something else stands there.
    Wrong,
    /// Objects in objects in objects.
    Deep,
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// At the beginning of a text.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What stands behind.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The next byte that is no blank.
    #[inline]
    pub fn peek(&mut self) -> Result<u8, Broken> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Broken::Ends),
            }
        }
    }

    /// Takes a byte that must come next, behind blanks.
    #[inline]
    pub fn take(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek()? == byte {
            self.at += 1;
            Ok(())
        } else {
            Err(Broken::Wrong)
        }
    }

    /// Takes these bytes if they come next.
    #[inline]
    pub fn skip(&mut self, bytes: &[u8]) -> bool {
        let there = self.rest().starts_with(bytes);
        if there {
            self.at += bytes.len();
        }
        there
    }

    /// In an object behind a value: whether another name follows.
    #[inline]
    pub fn more(&mut self, end: u8) -> Result<bool, Broken> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Ok(true),
            byte if byte == end => Ok(false),
            _ => Err(Broken::Wrong),
        }
    }

    /// The bytes of a text behind its first quote, and whether there are escapes among them.
    #[inline]
    pub fn text(&mut self) -> Result<(&'a [u8], bool), Broken> {
        let start = self.at;
        let mut escapes = false;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    self.at += 2;
                }
                Some(b'\n') => return Err(Broken::Wrong),
                Some(_) => self.at += 1,
                None => return Err(Broken::Ends),
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok((text, escapes))
    }

    /// A value: objects and arrays as they stand.
    #[inline]
    pub fn value(&mut self, depth: usize) -> Result<Value<'a>, Broken> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (text, escapes) = self.text()?;
                Ok(if escapes { Value::Escaped(text) } else { Value::Text(text) })
            }
            b'0'..=b'9' | b'-' => self.number(),
            b'{' | b'[' => {
                let start = self.at;
                self.nested(depth)?;
                Ok(Value::Json(&self.text[start..self.at]))
            }
            _ => self.word(),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Value<'a>, Broken> {
        let start = self.at;
        let negative = self.text[start] == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        let mut number = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            number = number.and_then(|n| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            self.at += 1;
        }
        let leading = self.text.get(digits) == Some(&b'0') && self.at > digits + 1;
        match self.text.get(self.at) {
            _ if self.at == digits || leading => Err(Broken::Wrong),
            Some(b'.' | b'e' | b'E') => self.fraction(start),
            // the next byte may be one more digit
            None => Err(Broken::Ends),
            Some(_) => Ok(match number {
                Some(n) if !negative => i64::try_from(n).map_or(Value::Unsigned(n), Value::Int),
                Some(n) if n <= 1 << 63 => Value::Int(0_i64.wrapping_sub_unsigned(n)),
                _ => Value::Json(&self.text[start..self.at]),
            }),
        }
    }

    #[cold]
    fn fraction(&mut self, start: usize) -> Result<Value<'a>, Broken> {
        let digits = |scan: &mut Self| {
            let before = scan.at;
            while scan.text.get(scan.at).is_some_and(u8::is_ascii_digit) {
                scan.at += 1;
            }
            match scan.text.get(scan.at) {
                None => Err(Broken::Ends),
                Some(_) if scan.at == before => Err(Broken::Wrong),
                Some(_) => Ok(()),
            }
        };
        if self.skip(b".") {
            digits(self)?;
        }
        if self.skip(b"e") || self.skip(b"E") {
            let _ = self.skip(b"-") || self.skip(b"+");
            digits(self)?;
        }
        Ok(Value::Json(&self.text[start..self.at]))
    }

    fn word(&mut self) -> Result<Value<'a>, Broken> {
        for (word, value) in
            [(&b"true"[..], Value::Bool(true)), (b"false", Value::Bool(false)), (b"null", Value::Null)]
        {
            if self.skip(word) {
                return Ok(value);
            }
            if word.starts_with(self.rest()) {
                return Err(Broken::Ends);
            }
        }
        Err(Broken::Wrong)
    }

    /// Reads an object or an array for where it ends.
    #[cold]
    fn nested(&mut self, depth: usize) -> Result<(), Broken> {
        if depth >= MAX_DEPTH {
            return Err(Broken::Deep);
        }
        let object = self.text[self.at] == b'{';
        let end = if object { b'}' } else { b']' };
        self.at += 1;
        if self.peek()? == end {
            self.at += 1;
            return Ok(());
        }
        loop {
            if object {
                self.take(b'"')?;
                let (name, _) = self.text()?;
                self.strict(name, false)?;
                self.take(b':')?;
            }
            match self.value(depth + 1)? {
                Value::Text(text) => self.strict(text, false)?,
                Value::Escaped(text) => self.strict(text, true)?,
                _ => {}
            }
            if !self.more(end)? {
                return Ok(());
            }
        }
    }

    /// Text that is kept as it stands has to be JSON itself.
    fn strict(&self, text: &[u8], escapes: bool) -> Result<(), Broken> {
        let mut rest = text;
        while let Some(at) =
            memchr::memchr(b'\\', rest).filter(|_| escapes || memchr::memchr(b'\\', text).is_some())
        {
            let len = match rest.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                Some(b'u')
                    if rest.get(at + 2..at + 6).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) =>
                {
                    6
                }
                _ => return Err(Broken::Wrong),
            };
            rest = &rest[at + len..];
        }
        if text.iter().any(|b| *b < 0x20) { Err(Broken::Wrong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Result<Value<'_>, Broken> {
        // a number needs something behind it
        let mut scan = Scan::new(text.as_bytes());
        let value = scan.value(0)?;
        assert_eq!(scan.rest(), b",", "{text}");
        Ok(value)
    }

    #[test]
    fn values() {
        for (text, want) in [
            ("0,", Value::Int(0)),
            ("-12,", Value::Int(-12)),
            ("9223372036854775807,", Value::Int(i64::MAX)),
            ("-9223372036854775808,", Value::Int(i64::MIN)),
            ("18446744073709551615,", Value::Unsigned(u64::MAX)),
            ("18446744073709551616,", Value::Json(b"18446744073709551616")),
            ("1.5e-3,", Value::Json(b"1.5e-3")),
            ("true,", Value::Bool(true)),
            ("null,", Value::Null),
            (r#""a b","#, Value::Text(b"a b")),
            (r#""a\"b","#, Value::Escaped(br#"a\"b"#)),
            (r#" {"a":[1,{}],"b":"x"},"#, Value::Json(br#"{"a":[1,{}],"b":"x"}"#)),
        ] {
            assert_eq!(value(text), Ok(want), "{text}");
        }
        for text in ["01,", "-,", "1.,", "1e,", "nul,", "x,", "\"a\nb\",", "{1},", "[1 2],", r#"{"a":"\q"},"#]
        {
            assert_eq!(value(text), Err(Broken::Wrong), "{text}");
        }
        for text in ["", "12", "tru", "\"a", "\"a\\", "[1,", "{\"a\"", "-", "1.5"] {
            let ends = value(text);
            assert!(matches!(ends, Err(Broken::Ends)) || text == "-", "{text}: {ends:?}");
        }
        assert_eq!(value(&"[".repeat(1000)), Err(Broken::Deep));
    }

    proptest! {
        /// What is kept as JSON is JSON.
        #[test]
        fn nested_values_are_what_serde_reads(text in r#"[\[\]{}:,"\\a0-9nul\-\. ]{0,40}"#) {
            let text = format!("[{text}],");
            if let Ok(Value::Json(json)) = Scan::new(text.as_bytes()).value(0) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(json).is_ok());
            }
        }

        #[test]
        fn any_bytes_give_an_answer(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Scan::new(&text).value(0);
        }
    }
}
