//! Words between blanks, with the key before a `=`.

/// Key of a word that is too long to be one that anybody knows.
const TOO_LONG: u64 = u64::MAX;

/// One word of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// The whole word.
    pub(super) word: &'a [u8],
    /// What stands before the `=`, or the whole word; see [`key`].
    pub(super) key: u64,
    /// Where the value starts, when there is a `=`.
    value: usize,
}

impl<'a> Token<'a> {
    /// What follows the `=`.
    #[inline]
    pub(super) fn value(&self) -> Option<&'a [u8]> {
        if self.value == 0 { None } else { self.word.get(self.value..) }
    }

    /// What stands before the `=`.
    pub(super) fn name(&self) -> &'a [u8] {
        &self.word[..self.value.saturating_sub(1)]
    }

    /// The word without its first bytes.
    pub(super) fn without_head(&self, bytes: usize) -> Token<'a> {
        Tokens::new(self.word.get(bytes..).unwrap_or_default()).next().unwrap_or(Token {
            word: &[],
            key: TOO_LONG,
            value: 0,
        })
    }

    /// The word without its last byte.
    pub(super) fn without_tail(&self) -> Token<'a> {
        let (_, head) = self.word.split_last().unwrap_or((&0, &[]));
        Tokens::new(head).next().unwrap_or(Token { word: &[], key: TOO_LONG, value: 0 })
    }
}

/// In front of the packed bytes, so that leading NULs make a difference.
const SEED: u64 = 1;

/// A key of up to 8 bytes as one number, so that words are told apart by comparing numbers.
pub(super) const fn key(word: &str) -> u64 {
    let bytes = word.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= 8, "a key has 1 to 8 bytes");
    let (mut packed, mut i) = (SEED, 0);
    while i < bytes.len() {
        packed = packed << 8 | bytes[i] as u64;
        i += 1;
    }
    packed
}

/// The words of a text.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        let mut rest = self.rest;
        while let [b' ' | b'\t', tail @ ..] = rest {
            rest = tail;
        }
        let (mut packed, mut end, mut value) = (SEED, rest.len(), 0);
        for (i, byte) in rest.iter().enumerate() {
            match *byte {
                b' ' | b'\t' => {
                    end = i;
                    break;
                }
                b'=' => {
                    value = i + 1;
                    break;
                }
                byte => packed = packed << 8 | u64::from(byte),
            }
        }
        if value > 0 {
            end = rest[value..]
                .iter()
                .position(|b| matches!(b, b' ' | b'\t'))
                .map_or(rest.len(), |n| value + n);
        }
        let name = if value > 0 { value - 1 } else { end };
        let (word, tail) = rest.split_at(end);
        self.rest = tail;
        (!word.is_empty()).then_some(Token { word, key: if name <= 8 { packed } else { TOO_LONG }, value })
    }
}
