//! The journal's export format (systemd's "Journal Export Format"): fields `NAME=value\n`, or for values that are
//! not plain text `NAME\n`, 8 bytes of length (little endian), the value, `\n`; an empty line ends an entry.
//!
//! [`Reader`] takes bytes as they come and gives whole entries. An entry that is over [`MAX_ENTRY`] is skipped and
//! counted; so is one with a field that is neither form. Memory is bounded by that limit and what was put in.

use super::number::dec;
use bartizan_model::Micros;

/// Bytes of an entry that are looked at. A kernel message has under 3 KiB with its fields.
pub const MAX_ENTRY: usize = 256 << 10;

/// Entries out of a stream of bytes.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the entry that comes next begins.
    start: usize,
    /// Up to where it was looked at; between fields.
    at: usize,
    /// What comes next belongs to an entry that is not looked at.
    skipping: Option<Skip>,
    skipped: u64,
}

/// Where in an entry that is given up the next bytes are.
#[derive(Clone, Copy, Debug)]
enum Skip {
    /// In a value of which so many bytes are to come.
    Value(u64),
    /// In a line.
    Line,
    /// Between fields.
    Fields,
}

impl Skip {
    /// For a field that is too long.
    fn of(rest: &[u8]) -> Self {
        let Some(end) = memchr::memchr(b'\n', rest) else { return Self::Line };
        match rest.get(end + 1..).and_then(|b| b.first_chunk::<8>()) {
            Some(len) => Self::Value(u64::from_le_bytes(*len).saturating_add(end as u64 + 10)),
            None => Self::Fields,
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    bytes: &'a [u8],
}

enum Field<'a> {
    /// The name, the value, and the bytes that both take.
    Whole(&'a [u8], &'a [u8], usize),
    /// The empty line.
    End,
    /// More bytes are needed.
    Cut,
}

impl Reader {
    /// Takes bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next entry, if it is whole. Cursors of skipped entries are not known.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        loop {
            if self.skipping.is_some() && !self.skip() {
                return None;
            }
            match field(&self.buffer[self.at..]) {
                Field::Whole(_, _, len) => self.at += len,
                Field::End => {
                    let (start, end) = (self.start, self.at);
                    self.at += 1;
                    self.start = self.at;
                    if end > start {
                        return Some(Entry { bytes: &self.buffer[start..end] });
                    }
                }
                Field::Cut => {
                    if self.buffer.len() - self.start <= MAX_ENTRY {
                        return None;
                    }
                    self.give_up();
                }
            }
        }
    }

    /// Entries that were too long.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Forgets the entry that is too long: what is being read of it, then all up to its end.
    fn give_up(&mut self) {
        self.skipped += 1;
        self.skipping = Some(Skip::of(&self.buffer[self.at..]));
    }

    /// Steps to the end of an entry that is given up; whether it was reached.
    fn skip(&mut self) -> bool {
        while let Some(skip) = self.skipping {
            let rest = &self.buffer[self.at..];
            let (step, next) = match skip {
                Skip::Value(bytes) => {
                    let step = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
                    let left = bytes - step as u64;
                    (step, if left == 0 { Skip::Fields } else { Skip::Value(left) })
                }
                Skip::Line => match memchr::memchr(b'\n', rest) {
                    Some(end) => (end + 1, Skip::Fields),
                    None => (rest.len(), Skip::Line),
                },
                Skip::Fields => match field(rest) {
                    Field::Whole(_, _, len) => (len, Skip::Fields),
                    Field::End => {
                        self.at += 1;
                        self.start = self.at;
                        self.skipping = None;
                        break;
                    }
                    Field::Cut if rest.len() > MAX_ENTRY => (0, Skip::of(rest)),
                    Field::Cut => {
                        self.forget();
                        return false;
                    }
                },
            };
            self.at += step;
            self.skipping = Some(next);
            if self.at == self.buffer.len() {
                self.forget();
                return false;
            }
        }
        true
    }

    fn forget(&mut self) {
        self.buffer.drain(..self.at);
        (self.at, self.start) = (0, 0);
    }
}

fn field(bytes: &[u8]) -> Field<'_> {
    let Some(line) = memchr::memchr(b'\n', bytes) else { return Field::Cut };
    if line == 0 {
        return Field::End;
    }
    if let Some(equals) = memchr::memchr(b'=', &bytes[..line]) {
        return Field::Whole(&bytes[..equals], &bytes[equals + 1..line], line + 1);
    }
    let Some(len) = bytes.get(line + 1..).and_then(|b| b.first_chunk::<8>()) else { return Field::Cut };
    let from = line + 9;
    let value = usize::try_from(u64::from_le_bytes(*len))
        .ok()
        .and_then(|len| bytes.get(from..from.checked_add(len)?));
    match value {
        Some(value) if bytes.len() > from + value.len() => {
            Field::Whole(&bytes[..line], value, from + value.len() + 1)
        }
        _ => Field::Cut,
    }
}

/// The entry at the beginning of bytes and how many it takes with the empty lines around it; `None` if it is not
/// whole. For whoever holds the bytes and wants to know where entries end.
#[must_use]
pub fn first(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let start = bytes.iter().take_while(|b| **b == b'\n').count();
    let mut at = start;
    loop {
        match field(&bytes[at..]) {
            Field::Whole(_, _, len) => at += len,
            Field::End => return Some((Entry { bytes: &bytes[start..at] }, at + 1)),
            Field::Cut => return None,
        }
    }
}

impl<'a> Entry<'a> {
    /// The values of the fields that are asked for, in one walk; the last one of a name that is there twice.
    #[must_use]
    pub fn fields<const N: usize>(&self, names: [&str; N]) -> [Option<&'a [u8]>; N] {
        let (mut found, mut rest) = ([None; N], self.bytes);
        while let Field::Whole(name, value, len) = field(rest) {
            if let Some(i) = names.iter().position(|n| n.as_bytes() == name) {
                found[i] = Some(value);
            }
            rest = &rest[len..];
        }
        found
    }

    /// The value of one field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields([name])[0]
    }

    /// A time field, in microseconds.
    #[must_use]
    pub fn micros(value: &[u8]) -> Option<Micros> {
        dec(value).map(Micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::new();
        while let Some(entry) = reader.next_entry() {
            all.push(entry.field("MESSAGE").map(<[u8]>::to_vec));
        }
        all
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn the_first_entry_and_its_length() {
        let stream = b"\n\n__CURSOR=s=1\nMESSAGE=one\n\n__CURSOR=s=2\n";
        let (entry, len) = first(stream).unwrap();
        assert_eq!((entry.field("MESSAGE"), len), (Some(&b"one"[..]), 28));
        assert_eq!(first(&stream[len..]), None);
        assert_eq!(first(b"\n\n"), None);
    }

    #[test]
    fn entries_arrive_in_any_pieces() {
        let stream = [
            b"__CURSOR=s=1\n_TRANSPORT=kernel\nMESSAGE=one\n\n".to_vec(),
            b"__CURSOR=s=2\n".to_vec(),
            binary("MESSAGE", b"two\n\nlines\xff"),
            b"PRIORITY=4\n\n\n__CURSOR=s=3\n\n".to_vec(),
        ]
        .concat();
        let want = [Some(b"one".to_vec()), Some(b"two\n\nlines\xff".to_vec()), None];
        for piece in [1, 2, 7, stream.len()] {
            let mut reader = Reader::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                reader.push(bytes);
                got.extend(read(&mut reader));
            }
            assert_eq!(got, want, "{piece}");
        }
    }

    #[test]
    fn a_huge_entry_is_skipped_and_counted() {
        let huge = vec![b'\n'; 3 * MAX_ENTRY];
        let stream = [
            b"A=1\n".to_vec(),
            binary("MESSAGE", &huge),
            b"B=2\n\nMESSAGE=next\n\n".to_vec(),
            [b"MESSAGE=".to_vec(), vec![b'x'; 2 * MAX_ENTRY], b"\n\nMESSAGE=last\n\n".to_vec()].concat(),
        ]
        .concat();
        let mut reader = Reader::default();
        let (mut got, mut most) = (Vec::new(), 0);
        for bytes in stream.chunks(1000) {
            reader.push(bytes);
            most = most.max(reader.buffer.len());
            got.extend(read(&mut reader));
        }
        assert_eq!(got, [Some(b"next".to_vec()), Some(b"last".to_vec())]);
        assert_eq!(reader.skipped(), 2);
        assert!(most < 3 * MAX_ENTRY, "{most}");
    }

    #[test]
    fn fields_by_name() {
        let mut reader = Reader::default();
        reader.push(b"A=1\nB=x=y\n\n");
        let entry = reader.next_entry().unwrap();
        assert_eq!(entry.fields(["B", "C", "A"]), [Some(&b"x=y"[..]), None, Some(&b"1"[..])]);
    }
}
