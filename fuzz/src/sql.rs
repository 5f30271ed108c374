//! Texts of SQL, and what clients of Flight SQL send. The code under test is taken by its files: as a crate it would
//! bring the engine with it.

use crate::handle::{Handle, Run};
use crate::parameters::Columns;

/// A text is a question or an error. The names of what it reads are found in both.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(asked) = crate::statement::parse(text) {
        assert!(asked.tables().iter().all(|name| name.len() <= text.len()));
    }
}

/// Bytes are a handle, a ticket and parameters, or an error; what is read of handles is written as the same bytes.
pub fn handle(data: &[u8]) {
    if let Ok(handle) = Handle::decode(data) {
        assert_eq!(handle.encode(), data);
    }
    if let Ok(run) = Run::decode(data) {
        assert_eq!(run.encode(), data);
    }
    // Header of the schema, header of the rows, body: each behind its length.
    let Some((lengths, rest)) = data.split_first_chunk::<4>() else { return };
    let [a, b, c, d] = lengths.map(usize::from);
    let Some((schema, rest)) = rest.split_at_checked(a | b << 8) else { return };
    let Some((header, body)) = rest.split_at_checked(c | d << 8) else { return };
    if let Ok(columns) = Columns::read(schema) {
        let _ = columns.values(header, body);
    }
}
