//! The name of a row: the batch that it came in, and its place there.

use bartizan_model::{BatchId, Seq};
use std::fmt;
use std::str::FromStr;

/// The column that is not stored: the row's name, made of [`ID_PARTS`].
pub const ID: &str = "id";

/// What a row's name is made of, in the order in which it is written.
pub(crate) const ID_PARTS: [&str; 3] = ["stream", "seq", "row"];

/// A row's name: `HOST/LANE/EPOCH/SEQ/ROW`. It never names another row, however rows are moved between files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId {
    /// The batch.
    pub batch: BatchId,
    /// The place in it, from 0.
    pub row: u32,
}

/// A text that is no row's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a row; it is written as `bartizan search` shows it: HOST/LANE/EPOCH/SEQ/ROW")]
pub struct RowIdError(String);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.batch.stream, self.batch.seq.0, self.row)
    }
}

impl FromStr for RowId {
    type Err = RowIdError;

    fn from_str(text: &str) -> Result<Self, RowIdError> {
        let parse = || {
            let (rest, row) = text.trim().rsplit_once('/')?;
            let (stream, seq) = rest.rsplit_once('/')?;
            let batch = BatchId { stream: stream.parse().ok()?, seq: Seq(seq.parse().ok()?) };
            Some(Self { batch, row: row.parse().ok()? })
        };
        parse().ok_or_else(|| RowIdError(text.chars().take(120).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let text = "07070707070707070707070707070707/2/000000000000feed/42/7";
        let id: RowId = text.parse().unwrap();
        assert_eq!((id.batch.seq, id.row, id.to_string().as_str()), (Seq(42), 7, text));
        for bad in
            ["", "7", "07070707070707070707070707070707/2/000000000000feed/42", "x/2/1/42/7", "a/b/c/d/e/f"]
        {
            assert!(bad.parse::<RowId>().is_err(), "{bad}");
        }
    }
}
