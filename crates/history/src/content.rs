use crate::unpack::Unpacked;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};

/// Bytes that are unpacked at once.
const STEP: usize = 256 << 10;
/// Bytes before the window that are kept.
const TRAIL: usize = 1024;

/// What is unpacked, with a window on it: consumed from its front, filled at its end.
#[derive(Debug)]
pub(crate) struct Content {
    input: Unpacked,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The position of the window's front.
    position: u64,
    ended: bool,
    /// Why it ended, if not because nothing more is there.
    fault: Option<io::Error>,
}

impl Content {
    pub(crate) const fn new(input: Unpacked, position: u64) -> Self {
        Self { input, buffer: Vec::new(), start: 0, end: 0, position, ended: false, fault: None }
    }

    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    pub(crate) const fn input(&self) -> &Unpacked {
        &self.input
    }

    /// What is there now.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether it ended early.
    pub(crate) const fn is_cut(&self) -> bool {
        self.fault.is_some()
    }

    /// Why it ended early; said once.
    pub(crate) const fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// The hash of what was consumed last.
    pub(crate) fn trail(&self) -> [u8; 32] {
        Sha256::digest(&self.buffer[self.start - self.start.min(TRAIL)..self.start]).into()
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.end - self.start);
        self.start += bytes;
        self.position += bytes as u64;
    }

    /// Fills the window up to so many bytes, or all that is left.
    pub(crate) fn fill(&mut self, want: usize) {
        while !self.ended && self.end - self.start < want {
            self.more();
        }
    }

    /// Adds to the window; false at the end.
    pub(crate) fn more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let keep = self.start.min(TRAIL);
        if self.start > keep {
            self.buffer.copy_within(self.start - keep..self.end, 0);
            (self.start, self.end) = (keep, keep + self.end - self.start);
        }
        if self.buffer.len() < self.end + STEP {
            self.buffer.resize(self.end + STEP, 0);
        }
        match self.input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(read) => self.end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => (self.ended, self.fault) = (true, Some(error)),
        }
        !self.ended
    }

    /// Steps over so many bytes; false if there are fewer.
    pub(crate) fn skip(&mut self, mut bytes: u64) -> bool {
        loop {
            let here = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.end - self.start);
            self.consume(here);
            bytes -= here as u64;
            if bytes == 0 {
                return true;
            }
            if !self.more() && self.window().is_empty() {
                return false;
            }
        }
    }

    /// The length of the line at the front, its end included if it has one. `None` when it is over `limit`, or
    /// nothing is left.
    pub(crate) fn line(&mut self, limit: usize) -> Line {
        let mut looked = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.window()[looked..]) {
                return Line::Whole(looked + at + 1);
            }
            looked = self.window().len();
            if looked > limit {
                return Line::Long;
            }
            if !self.more() {
                return if looked == 0 { Line::None } else { Line::Unfinished(looked) };
            }
        }
    }

    /// Steps behind the next end of a line, or to the end.
    pub(crate) fn skip_line(&mut self) {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.window()) {
                return self.consume(at + 1);
            }
            self.consume(self.end - self.start);
            if !self.more() {
                return self.consume(self.end - self.start);
            }
        }
    }
}

/// What is at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line of so many bytes, with its end.
    Whole(usize),
    /// The last one, without an end.
    Unfinished(usize),
    /// One that is too long.
    Long,
    /// Nothing.
    None,
}
