use super::{Key, Pushed, Record, Sums, Told};
use crate::Rows;
use crate::json::{Broken, MAX_RECORD, Scan, unescape};
use crate::unread::unread;
use bartizan_decode::columns::Full;

/// What stood at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A record.
    Record(Pushed),
    /// Something that is no record of ulogd: an event of nothing but `raw`.
    Unparsed,
    /// Blanks.
    Nothing,
}

/// One step through a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes that are done with; 0 if more of them are needed.
    pub len: usize,
    /// What they were.
    pub what: What,
}

impl Piece {
    const MORE: Self = Self { len: 0, what: What::Nothing };
}

/// Reads ulogd's JSON: one object behind the other, with or without line feeds between them.
///
/// What is no object is kept up to the end of its line. It remembers which key followed which, and what counters showed.
#[derive(Debug, Default)]
pub struct JsonReader {
    follows: Follows,
    sums: Sums,
    /// In the middle of something that was too long.
    skipping: bool,
}

impl JsonReader {
    /// One that knows what counters showed last, or that they are totals.
    #[must_use]
    pub fn of_sums(sums: Sums) -> Self {
        Self { sums, ..Self::default() }
    }

    /// Adds the record at the beginning of a text. Behind the text of a stream may come more of it, unless it is the
    /// `last`.
    ///
    /// # Errors
    /// When there is no room: take the rows, then read it again.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut Rows, told: &Told<'_>) -> Result<Piece, Full> {
        if self.skipping {
            let line = memchr::memchr(b'\n', text).map(|at| at + 1);
            self.skipping = line.is_none() && !last;
            return Ok(Piece { len: line.unwrap_or(text.len()), what: What::Nothing });
        }
        let blank = blanks(text);
        if blank > 0 || text.is_empty() {
            return Ok(Piece { len: blank, what: What::Nothing });
        }
        let mut record = Record::default();
        let why = match self.follows.object(text, &mut record) {
            Ok(len) if len <= MAX_RECORD => {
                let pushed = record.push(rows, told, &mut self.sums)?;
                if pushed != Pushed::Nothing {
                    return Ok(Piece { len, what: What::Record(pushed) });
                }
                unread(&text[..len], "no key of ulogd", rows, told)?;
                return Ok(Piece { len, what: What::Unparsed });
            }
            Err(Broken::Ends) if !last && text.len() < MAX_RECORD => return Ok(Piece::MORE),
            Ok(_) => "too long",
            Err(Broken::Ends) if text.len() >= MAX_RECORD => "too long",
            Err(Broken::Ends) => "the end is missing",
            Err(Broken::Wrong) => "no JSON object",
            Err(Broken::Deep) => "objects in objects",
        };
        let (line, whole) = match memchr::memchr(b'\n', text) {
            Some(at) => (at + 1, true),
            None if last => (text.len(), true),
            None if text.len() < MAX_RECORD => return Ok(Piece::MORE),
            None => (text.len(), false),
        };
        unread(text[..line].trim_ascii_end(), why, rows, told)?;
        self.skipping = !whole;
        Ok(Piece { len: line, what: What::Unparsed })
    }
}

/// Bytes between records.
fn blanks(text: &[u8]) -> usize {
    let bom = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    bom + text[bom..].iter().take_while(|b| b.is_ascii_whitespace() || **b == 0).count()
}

/// Which key came behind which: they come in the same order in every record of a stack.
#[derive(Debug)]
struct Follows {
    /// By the key before, the last one for the beginning.
    next: [(&'static [u8], Key); Key::ALL.len() + 1],
}

impl Default for Follows {
    fn default() -> Self {
        Self { next: [(b"", Key::Timestamp); Key::ALL.len() + 1] }
    }
}

impl Follows {
    /// Reads an object of which names are keys; its length.
    #[inline]
    fn object<'a>(&mut self, text: &'a [u8], record: &mut Record<'a>) -> Result<usize, Broken> {
        let mut scan = Scan::new(text);
        scan.take(b'{')?;
        if scan.peek()? == b'}' {
            scan.take(b'}')?;
            return Ok(scan.at());
        }
        let mut before = Key::ALL.len();
        loop {
            scan.take(b'"')?;
            let (name, expected) = self.next[before];
            let known = if scan.rest().get(name.len()) == Some(&b'"') && scan.skip(name) {
                scan.take(b'"')?;
                Some(expected)
            } else {
                None
            };
            match known {
                Some(key) => {
                    scan.take(b':')?;
                    record.set(key, scan.value(1)?);
                    before = key as usize;
                }
                None => before = self.other(before, &mut scan, record)?,
            }
            if !scan.more(b'}')? {
                return Ok(scan.at());
            }
        }
    }

    /// A name that was not expected here.
    #[cold]
    #[inline(never)]
    fn other<'a>(
        &mut self,
        before: usize,
        scan: &mut Scan<'a>,
        record: &mut Record<'a>,
    ) -> Result<usize, Broken> {
        let (name, escapes) = scan.text()?;
        scan.take(b':')?;
        let value = scan.value(1)?;
        let found = if escapes { Key::known(&unescape(name)) } else { Key::known(name) };
        match found {
            Some((name, key)) => {
                if !escapes {
                    self.next[before] = (name, key);
                }
                record.set(key, value);
                Ok(key as usize)
            }
            None if escapes => {
                record.set_unknown(unescape(name), value);
                Ok(before)
            }
            None => {
                record.set_unknown(name, value);
                Ok(before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Whose;
    use crate::text::Fixed;
    use bartizan_model::{Kind, Micros};
    use proptest::prelude::*;

    const TOLD: Told<'static> = Told {
        source: "ulogd",
        whose: Whose { host: "gw", sender: "" },
        received: Micros(7),
        zone: &Fixed(0),
    };

    /// Everything of a text that arrives in pieces of a size, and the rows of each kind.
    fn read(text: &[u8], size: usize) -> (Vec<What>, Vec<(Kind, usize)>) {
        let (mut reader, mut rows) = (JsonReader::default(), Rows::new(1000));
        let (mut whats, mut start, mut end) = (Vec::new(), 0, 0);
        loop {
            let last = end == text.len();
            let piece = reader.read(&text[start..end], last, &mut rows, &TOLD).unwrap();
            start += piece.len;
            if piece.what != What::Nothing {
                whats.push(piece.what);
            }
            if piece.len == 0 {
                if last {
                    assert_eq!(start, end, "all is read at the end");
                    break;
                }
                end = text.len().min(end + size);
            }
        }
        (whats, rows.finish().into_iter().map(|(kind, batch)| (kind, batch.num_rows())).collect())
    }

    const EVENT: What = What::Record(Pushed::Event);

    #[test]
    fn records_of_every_kind_whatever_is_between_them() {
        let text = b"\xef\xbb\xbf{\"oob.prefix\": \"a\"}\n\n{\"ct.id\":1}{\"sum.name\":\"x\",\"sum.pkts\":1}\r\n {\"oob.prefix\":\"b\"}\0";
        let want = [EVENT, What::Record(Pushed::Flow), What::Record(Pushed::Counter), EVENT];
        for size in [1, 2, 7, 1000] {
            let (whats, rows) = read(text, size);
            assert_eq!(whats, want);
            assert_eq!(rows, [(Kind::Events, 2), (Kind::Flows, 1), (Kind::Counters, 1)]);
        }
    }

    #[test]
    fn what_is_no_record_costs_its_line_and_no_other() {
        let text = b"hello\n{\"oob.prefix\":\"cut\n{\"oob.prefix\":\"a\"}\n{\"foo\":1}\n{}\n{\"oob.prefix\":\"b\", \"deep\":"
            .to_vec();
        for size in [1, 1000] {
            let (whats, rows) = read(&text, size);
            let bad = What::Unparsed;
            assert_eq!(whats, [bad, bad, EVENT, bad, bad, bad], "{size}");
            assert_eq!(rows, [(Kind::Events, 6)]);
        }
    }

    #[test]
    fn what_is_too_long_is_one_record_of_bounded_length() {
        let mut text = b"{\"oob.prefix\":\"".to_vec();
        text.resize(1 << 20, b'x');
        text.extend(b"\"}\n{\"oob.prefix\":\"a\"}\n");
        text.extend(vec![b'['; 1 << 20]);
        let (whats, rows) = read(&text, 9000);
        assert_eq!(whats, [What::Unparsed, EVENT, What::Unparsed]);
        assert_eq!(rows, [(Kind::Events, 3)]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(
            text in proptest::collection::vec(prop_oneof![
                any::<u8>().prop_map(|b| vec![b]),
                prop_oneof![
                    Just("{\"oob.prefix\":"), Just("\"a\""), Just("}"), Just("\n"), Just(","), Just("\"src_ip\":"),
                    Just("1"), Just("{"), Just("[")
                ].prop_map(|t| t.as_bytes().to_vec()),
            ], 0..60),
            size in 1_usize..20,
        ) {
            let text = text.concat();
            prop_assert_eq!(read(&text, size), read(&text, text.len() + 1));
        }
    }
}
