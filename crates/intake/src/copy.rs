//! The binary form of PostgreSQL's COPY: read by a total function.
//!
//! ```text
//! PGCOPY\n\xff\r\n\0   signature, 11 bytes
//! u32 flags, u32 length of an extension, the extension
//! per row: i16 fields, then per field i32 length (-1 for NULL) and its bytes
//! i16 -1               the end
//! ```
//! All numbers are big-endian. Rows of the other databases take the same form on their way between threads, without
//! signature and end, so that one reader makes records of all of them.

/// Fields that a row may have; PostgreSQL's own limit on columns is 1664.
const MAX_FIELDS: usize = 1664;
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// What is wrong with rows in this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// It begins otherwise.
    #[error("no signature")]
    Signature,
    /// A row ends in the middle.
    #[error("cut off")]
    Short,
    /// A row has another number of fields than there are columns.
    #[error("a row of {found} fields where there are {expected} columns")]
    Fields {
        /// In the row.
        found: i16,
        /// Columns.
        expected: usize,
    },
    /// A field has an impossible length.
    #[error("a field of {0} bytes")]
    Length(i32),
}

/// The bytes of the beginning of a stream, if all of them are there.
///
/// # Errors
/// If it does not begin like one.
pub fn header(bytes: &[u8]) -> Result<usize, CopyError> {
    let given = &bytes[..bytes.len().min(SIGNATURE.len())];
    if given != &SIGNATURE[..given.len()] {
        return Err(CopyError::Signature);
    }
    let length = bytes.get(15..19).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let end = 19 + usize::try_from(length.ok_or(CopyError::Short)?).map_err(|_| CopyError::Signature)?;
    if end > bytes.len() { Err(CopyError::Short) } else { Ok(end) }
}

/// Rows one after the other.
#[derive(Clone, Copy, Debug)]
pub struct CopyRows<'a> {
    rest: &'a [u8],
}

impl<'a> CopyRows<'a> {
    /// The rows in these bytes, behind the header.
    #[must_use]
    pub const fn new(rows: &'a [u8]) -> Self {
        Self { rest: rows }
    }

    /// Bytes that are not read yet.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Puts the next row's fields into `fields`, as many as it has room for; false at the end.
    ///
    /// # Errors
    /// If the row is not whole or not as expected. Nothing is read then.
    #[inline]
    pub fn next(&mut self, fields: &mut [Option<&'a [u8]>]) -> Result<bool, CopyError> {
        self.next_of(fields.len(), fields)
    }

    /// The same for a row of so many columns, of which only the first are wanted.
    ///
    /// # Errors
    /// As [`CopyRows::next`].
    #[inline]
    pub fn next_of(&mut self, columns: usize, fields: &mut [Option<&'a [u8]>]) -> Result<bool, CopyError> {
        let mut rest = self.rest;
        if rest.is_empty() {
            return Ok(false);
        }
        let count = i16::from_be_bytes(take(&mut rest)?);
        if count == -1 {
            self.rest = &[];
            return Ok(false);
        }
        if usize::try_from(count).ok() != Some(columns) || columns > MAX_FIELDS {
            return Err(CopyError::Fields { found: count, expected: columns });
        }
        for at in 0..columns {
            let length = i32::from_be_bytes(take(&mut rest)?);
            let value = match usize::try_from(length) {
                Ok(length) => {
                    let (value, behind) = rest.split_at_checked(length).ok_or(CopyError::Short)?;
                    rest = behind;
                    Some(value)
                }
                Err(_) if length == -1 => None,
                Err(_) => return Err(CopyError::Length(length)),
            };
            if let Some(field) = fields.get_mut(at) {
                *field = value;
            }
        }
        self.rest = rest;
        Ok(true)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CopyError> {
    let (taken, behind) = rest.split_first_chunk().ok_or(CopyError::Short)?;
    *rest = behind;
    Ok(*taken)
}

/// A signed number of 1 to 8 bytes.
#[must_use]
#[inline]
pub fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        8 => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        4 => Some(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        2 => Some(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        1 => Some(i8::from_be_bytes(bytes.try_into().ok()?).into()),
        _ => None,
    }
}

/// An `inet`: family, bits, whether it is a network, length, address. As 16 bytes, IPv4 mapped.
#[must_use]
#[inline]
pub fn inet(bytes: &[u8]) -> Option<[u8; 16]> {
    address(bytes.get(4..)?)
}

/// The 4 or 16 bytes of an address, as 16.
#[must_use]
#[inline]
pub fn address(bytes: &[u8]) -> Option<[u8; 16]> {
    match bytes.len() {
        4 => {
            let mut all = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
            all[12..].copy_from_slice(bytes);
            Some(all)
        }
        16 => bytes.try_into().ok(),
        _ => None,
    }
}

/// Writes rows in this form.
#[derive(Debug, Default)]
pub struct CopyWriter(
    /// What was written.
    pub Vec<u8>,
);

impl CopyWriter {
    /// Begins a row of so many fields, which follow.
    pub fn row(&mut self, fields: usize) {
        self.0.extend_from_slice(&u16::try_from(fields).unwrap_or(u16::MAX).to_be_bytes());
    }

    /// A field without a value.
    pub fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    /// A field of these bytes, one part behind the other.
    pub fn bytes(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.0.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }

    /// A field with a number of 8 bytes.
    pub fn integer(&mut self, value: i64) {
        self.bytes(&[&value.to_be_bytes()]);
    }

    /// What stands before the first row of a stream to PostgreSQL.
    pub fn header(&mut self) {
        self.0.extend_from_slice(SIGNATURE);
        self.0.extend_from_slice(&[0; 8]);
    }

    /// What stands behind the last one.
    pub fn end(&mut self) {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], columns: usize) -> Result<Vec<Vec<Option<Vec<u8>>>>, CopyError> {
        let mut rows = CopyRows::new(&bytes[header(bytes)?..]);
        let mut fields = vec![None; columns];
        let mut all = Vec::new();
        while rows.next(&mut fields)? {
            all.push(fields.iter().map(|f| f.map(<[u8]>::to_vec)).collect());
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(rows in prop::collection::vec(prop::collection::vec(
            prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 3), 0..20))
        {
            let mut writer = CopyWriter::default();
            writer.header();
            for row in &rows {
                writer.row(row.len());
                for field in row {
                    match field {
                        Some(field) => writer.bytes(&[field]),
                        None => writer.null(),
                    }
                }
            }
            writer.end();
            prop_assert_eq!(read(&writer.0, 3), Ok(rows.clone()));
            // cut anywhere, it is either all of the rows or an error, never a panic and never half a row
            for cut in 0..writer.0.len() {
                if let Ok(read) = read(&writer.0[..cut], 3) {
                    prop_assert_eq!(&read[..], &rows[..read.len()]);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), columns in 0_usize..5) {
            let _ = read(&bytes, columns);
            let mut fields = vec![None; columns];
            let mut rows = CopyRows::new(&bytes);
            while let Ok(true) = rows.next(&mut fields) {}
            prop_assert!(rows.left() <= bytes.len());
        }
    }

    #[test]
    fn numbers_and_addresses() {
        assert_eq!(integer(&[0xff, 0xfe]), Some(-2));
        assert_eq!(integer(&[0, 1, 0, 0]), Some(65_536));
        assert_eq!(integer(&[1, 2, 3]), None);
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1];
        assert_eq!(inet(&[2, 32, 0, 4, 10, 0, 0, 1]), Some(mapped));
        assert_eq!(inet(&[2, 32, 0]), None);
    }
}
