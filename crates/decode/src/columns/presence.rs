use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Which columns each row has: one word per row, one bit per column.
#[derive(Debug, Default)]
pub(super) struct PresenceWords {
    words: Vec<u64>,
}

impl PresenceWords {
    /// The columns of the next row.
    #[inline]
    pub(super) fn push(&mut self, columns: u64) {
        self.words.push(columns);
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
    }

    pub(super) const fn rows(&self) -> usize {
        self.words.len()
    }

    /// The columns that some row has, and those that every row has.
    pub(super) fn some_and_all(&self) -> (u64, u64) {
        self.words.iter().fold((0, u64::MAX), |(some, all), word| (some | word, all & word))
    }

    /// The rows of one column; `all` is from [`some_and_all`](Self::some_and_all).
    pub(super) fn of(&self, column: u32, all: u64) -> Presence<'_> {
        Presence { words: &self.words, column, everywhere: all >> column & 1 == 1 }
    }
}

/// Which rows have one column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence<'a> {
    words: &'a [u64],
    column: u32,
    everywhere: bool,
}

impl Presence<'_> {
    pub(super) const fn rows(&self) -> usize {
        self.words.len()
    }

    /// The rows as Arrow marks them; `None` when every row has the column.
    pub(super) fn nulls(&self) -> Option<NullBuffer> {
        if self.everywhere {
            return None;
        }
        let mut bits = Vec::with_capacity(self.rows().div_ceil(8));
        let (eights, rest) = self.words.as_chunks::<8>();
        bits.extend(eights.iter().map(|rows| self.byte(rows)));
        bits.extend((!rest.is_empty()).then(|| self.byte(rest)));
        Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, self.rows())))
    }

    /// The bits of up to 8 rows, the first lowest.
    #[inline(always)]
    fn byte(&self, rows: &[u64]) -> u8 {
        rows.iter().rev().fold(0, |byte, word| byte << 1 | (word >> self.column & 1) as u8)
    }
}
