//! A file as a source of an import.

use crate::content::Content;
use crate::format::Format;
use crate::unpack::{Limits, Unpacked};
use bartizan_intake::{HEAD, Identity, Progress, Read, Rows, Source, SourceError, Tally, Unit};
use bartizan_model::{Kind, Micros};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Records of a piece.
pub(crate) const PIECE: usize = 2048;
/// Offsets up to which contents are compared before anything is read.
const LANDMARKS: [usize; 6] = [2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// Bytes of a piece.
pub(crate) const PIECE_BYTES: u64 = 1 << 20;

/// Reads the records of one format.
pub(crate) trait Reader: Send {
    /// Forgets what was read: the content is at its beginning again.
    fn restart(&mut self);

    /// Steps to a position, which is not before the content's; false if there is none.
    fn pass(&mut self, content: &mut Content, position: u64) -> bool {
        content.skip(position - content.position())
    }

    /// Reads a piece, as [`Source::read`].
    fn piece(
        &mut self,
        content: &mut Content,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError>;
}

/// A file, or what comes through a pipe.
pub struct FileSource {
    name: String,
    /// None for a pipe.
    path: Option<PathBuf>,
    format: Format,
    head: Vec<u8>,
    landmarks: Vec<(u64, [u8; 32])>,
    kinds: Vec<Kind>,
    size: Option<u64>,
    limits: Limits,
    content: Option<Content>,
    packed: u64,
    reader: Box<dyn Reader>,
    first: Option<Micros>,
    /// Where it ended, and what could not be read behind that.
    ended: Option<Ended>,
}

/// A file that was read to its end.
struct Ended {
    position: u64,
    /// What could not be read behind it.
    fault: Option<String>,
    trail: [u8; 32],
}

/// A file that was looked into.
pub(crate) struct Looked {
    pub(crate) name: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) content: Option<Content>,
    pub(crate) format: Format,
    pub(crate) head: Vec<u8>,
    pub(crate) size: Option<u64>,
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource")
            .field("name", &self.name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The content of a file from its beginning.
pub(crate) fn content_of(path: &Path, limits: Limits) -> io::Result<Content> {
    Ok(Content::new(Unpacked::new(File::open(path)?, limits)?, 0))
}

impl FileSource {
    pub(crate) fn new(looked: Looked, limits: Limits, kinds: Vec<Kind>, reader: Box<dyn Reader>) -> Self {
        let Looked { name, path, content, format, mut head, size } = looked;
        let landmarks =
            LANDMARKS.iter().filter_map(|at| Some((*at as u64, Sha256::digest(head.get(..*at)?).into())));
        let landmarks = landmarks.collect();
        head.truncate(HEAD);
        Self {
            name,
            path,
            format,
            head,
            landmarks,
            kinds,
            size,
            limits,
            content,
            packed: 0,
            reader,
            first: None,
            ended: None,
        }
    }

    /// When its first record was written, as far as is known; files are read in this order.
    pub(crate) const fn first(&self) -> Option<Micros> {
        self.first
    }

    pub(crate) const fn set_first(&mut self, first: Option<Micros>) {
        self.first = first;
    }

    /// The format of its records.
    #[must_use]
    pub const fn records(&self) -> Format {
        self.format
    }

    /// Whether it cannot be read again from its beginning.
    #[must_use]
    pub const fn is_pipe(&self) -> bool {
        self.path.is_none()
    }

    /// A pipe gives nothing twice.
    fn once(&self) -> SourceError {
        let why = std::io::Error::other("what comes through a pipe is read once");
        SourceError::failed(format!("cannot go back in {}", self.name))(why)
    }

    /// Its content, from the beginning if it was not open.
    fn take(&mut self) -> Result<Content, SourceError> {
        if let Some(content) = self.content.take() {
            return Ok(content);
        }
        let Some(path) = &self.path else {
            return Err(self.once());
        };
        let content = content_of(path, self.limits)
            .map_err(SourceError::failed(format!("cannot read {}", self.name)))?;
        self.reader.restart();
        Ok(content)
    }

    /// Closes what was read to its end.
    fn close(&mut self, mut content: Content) {
        let at = content.position();
        self.packed = content.input().packed();
        let fault = content.take_fault();
        let fault = fault.map(|why| format!("{} cannot be read behind byte {at}: {why}", self.name));
        self.ended = Some(Ended { position: at, fault, trail: content.trail() });
    }
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn format(&self) -> &str {
        self.format.as_str()
    }

    fn identity(&self) -> Identity {
        Identity::Content(self.head.clone())
    }

    fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    fn landmarks(&self) -> Vec<(u64, [u8; 32])> {
        self.landmarks.clone()
    }

    fn trail(&self) -> Option<[u8; 32]> {
        match (&self.content, &self.ended) {
            (Some(content), _) => Some(content.trail()),
            (None, Some(ended)) => Some(ended.trail),
            (None, None) => None,
        }
    }

    fn progress(&self) -> Progress {
        let done = self.content.as_ref().map_or(self.packed, |c| c.input().packed());
        Progress { done, total: self.size, unit: Unit::Bytes }
    }

    fn seek(&mut self, position: u64) -> Result<(), SourceError> {
        if self.ended.as_ref().is_some_and(|ended| ended.position == position) {
            return Ok(());
        }
        if self.ended.is_some() || self.content.as_ref().is_some_and(|c| c.position() > position) {
            if self.path.is_none() {
                return Err(self.once());
            }
            (self.content, self.ended) = (None, None);
        }
        let mut content = self.take()?;
        if !self.reader.pass(&mut content, position) {
            if let Some(fault) = content.take_fault() {
                let what = format!(
                    "{} cannot be read up to byte {position}, up to which it was imported",
                    self.name
                );
                return Err(SourceError::failed(what)(fault));
            }
            return Err(SourceError::Changed(format!(
                "{} was imported up to byte {position} before and is shorter now: nothing of it is \
                 imported, because it was cut, or is another file with the same beginning",
                self.name
            )));
        }
        // an open file costs memory, and most files of an import that is done again are at their end
        content.fill(1);
        if content.window().is_empty() {
            self.close(content)
        } else {
            self.content = Some(content)
        }
        Ok(())
    }

    fn read(&mut self, until: u64, rows: &mut Rows, tally: &mut Tally) -> Result<Read, SourceError> {
        if let Some(Ended { position, fault, .. }) = &mut self.ended {
            tally.unreadable.extend(fault.take());
            return Ok(Read::End(*position));
        }
        let mut content = self.take()?;
        let read = self.reader.piece(&mut content, until, rows, tally)?;
        if matches!(read, Read::End(_)) {
            self.close(content);
            tally.unreadable.extend(self.ended.as_mut().and_then(|ended| ended.fault.take()));
        } else {
            self.content = Some(content);
        }
        Ok(read)
    }
}
