//! PostgreSQL's COPY in binary form.

use bartizan_intake::copy::{CopyRows, CopyWriter, address, header, inet, integer};

/// The first byte says how many columns there are; the rest is what the server sent. Rows that are read are those
/// bytes: written again, they are the same.
pub fn copy_rows(data: &[u8]) {
    let Some((columns, data)) = data.split_first() else { return };
    let columns = usize::from(columns % 70);
    let Ok(at) = header(data) else { return };
    assert!(at <= data.len());
    let mut rows = CopyRows::new(&data[at..]);
    let mut fields = vec![None; columns];
    let mut written = CopyWriter::default();
    let mut read = 0;
    while let Ok(true) = rows.next(&mut fields) {
        written.row(columns);
        for field in &fields {
            match field {
                None => written.null(),
                Some(bytes) => {
                    written.bytes(&[bytes]);
                    let _ = (integer(bytes), inet(bytes), address(bytes));
                }
            }
        }
        read = written.0.len();
    }
    assert_eq!(written.0, data[at..at + read]);
}
