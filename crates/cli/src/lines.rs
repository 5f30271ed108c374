//! Lines of a stream, however long: memory is bounded, and what is over the bound is passed over.

use std::io::{self, Read};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Takes a stream apart.
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// What of the buffer was not given yet.
    start: usize,
    end: usize,
    /// Bytes of a line that are kept.
    limit: usize,
    ended: bool,
}

/// What there is of the stream.
pub(crate) enum Piece<'a> {
    /// A line without its end, and whether bytes behind these were passed over.
    Line(&'a [u8], bool),
    /// What follows has to be waited for.
    Wait,
    /// Nothing follows.
    End,
}

impl<R: Read> Lines<R> {
    /// The lines of a stream, `limit` bytes of each at most.
    pub(crate) fn new(from: R, limit: usize) -> Self {
        Self { from, buffer: vec![0; CHUNK + limit], start: 0, end: 0, limit, ended: false }
    }

    /// What comes next. After [`Piece::Wait`] call [`Lines::fill`].
    pub(crate) fn next(&mut self) -> Piece<'_> {
        let rest = &self.buffer[self.start..self.end];
        if let Some(at) = memchr::memchr(b'\n', rest) {
            let line = self.start..self.start + at;
            self.start += at + 1;
            let cut = line.len() > self.limit;
            return Piece::Line(&self.buffer[line.start..line.end.min(line.start + self.limit)], cut);
        }
        if !self.ended {
            return Piece::Wait;
        }
        if rest.is_empty() {
            return Piece::End;
        }
        let line = self.start..self.end;
        self.start = self.end;
        let cut = line.len() > self.limit;
        Piece::Line(&self.buffer[line.start..line.end.min(line.start + self.limit)], cut)
    }

    /// Reads on.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // of a line that is too long one byte more is kept, which says so
        self.end = self.end.min(self.limit + 1);
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines(text: &[u8], at_once: usize, limit: usize) -> Vec<(String, bool)> {
        let mut lines = Lines::new(Slow(text, at_once), limit);
        let mut all = Vec::new();
        loop {
            match lines.next() {
                Piece::Line(line, cut) => all.push((String::from_utf8_lossy(line).into_owned(), cut)),
                Piece::Wait => lines.fill().unwrap(),
                Piece::End => return all,
            }
        }
    }

    #[test]
    fn lines_in_any_pieces() {
        let text = b"one\n\ntwo and more\r\n\xff\nlast";
        for at_once in [1, 2, 3, 5, 100] {
            let all = lines(text, at_once, 8);
            let want =
                [("one", false), ("", false), ("two and ", true), ("\u{fffd}", false), ("last", false)];
            assert_eq!(all, want.map(|(line, cut)| (line.to_owned(), cut)), "{at_once} at once");
        }
        assert!(lines(b"", 1, 8).is_empty());
        assert_eq!(lines(b"12345678\n", 1, 8), [("12345678".to_owned(), false)]);
    }

    #[test]
    fn a_line_of_any_length_takes_the_same_memory() {
        let mut long = vec![b'x'; 3 << 20];
        long.extend(b"\nnext\n");
        let mut lines = Lines::new(long.as_slice(), 100);
        let before = lines.buffer.capacity();
        let mut seen = Vec::new();
        loop {
            match lines.next() {
                Piece::Line(line, cut) => seen.push((line.len(), cut)),
                Piece::Wait => lines.fill().unwrap(),
                Piece::End => break,
            }
        }
        assert_eq!((seen, lines.buffer.capacity()), (vec![(100, true), (4, false)], before));
    }
}
