use super::row::{Row, put};
use super::words::family_word;
use super::{At, EventColumns, Full, MAX_PREFIX};
use crate::packet::{Fields as _, Headers};
use crate::text::Line;
use bartizan_model::Micros;
use std::collections::HashMap;

/// Bytes of an interface's name that are kept. The kernel's own limit is 15.
const MAX_NAME: usize = 64;
/// Bytes of `raw` and of `extra` that a row keeps.
const MAX_TEXT: usize = 64 << 10;
/// Bytes of `raw` and `extra` with which a batch of lines is full.
const MAX_TEXTS: usize = 64 << 20;
/// Slots of the table in front of the hash map; a power of two.
const SLOTS: usize = 16;

impl EventColumns {
    /// Adds one line of text that came from `source`, a word of the `source` column. A line that was not fully
    /// understood is kept whole in `raw`.
    ///
    /// # Errors
    /// When the builder is full, or its rows come from another source; the line was not added.
    #[inline]
    pub fn push_line(&mut self, line: &Line<'_>, time: Micros, source: &'static str) -> Result<(), Full> {
        let rows = self.start_text_row(source)?;
        let mut row = Row::new(&mut self.columns, rows);
        row.time(time);
        if let Some(netns) = &self.netns {
            row.netns(netns);
        }
        row.line(line, &mut self.names);
        row.link(&line.link);
        row.headers(&line.headers);
        self.names.texts += row.texts(line, &mut self.names.scratch);
        let present = row.present();
        self.end_text_row(present, line.packets());
        Ok(())
    }

    /// The number of the next row, if it may come from `source`.
    #[inline]
    pub(super) fn start_text_row(&mut self, source: &'static str) -> Result<usize, Full> {
        let rows = self.rows.rows();
        let other = rows > 0 && self.text_source != Some(source);
        if self.is_full() || other || self.names.texts >= MAX_TEXTS {
            return Err(Full { rows });
        }
        self.text_source = Some(source);
        Ok(rows)
    }

    #[inline(always)]
    pub(super) fn end_text_row(&mut self, present: u64, packets: u32) {
        if packets != 1 {
            self.repeated.push((self.rows.rows(), i64::from(packets)));
        }
        self.used |= present;
        self.rows.push(present);
    }
}

impl Row<'_> {
    #[inline]
    fn line(&mut self, line: &Line<'_>, names: &mut Names) {
        put!(self, family, u64::from(line.family), |text| text.push_str(family_word(line.family)));
        if !line.prefix.is_empty() {
            put!(self, prefix, &line.prefix[..line.prefix.len().min(MAX_PREFIX)]);
        }
        self.names([line.in_if, line.out_if, line.phys_in, line.phys_out], names);
        if let Some(action) = line.action {
            put!(self, action, action as u64, |text| text.push_str(action.as_str()));
        }
        if line.mark != 0 {
            put!(self, mark, i64::from(line.mark));
        }
        if let Some(uid) = line.uid {
            put!(self, uid, i64::from(uid));
        }
        if let Some(gid) = line.gid {
            put!(self, gid, i64::from(gid));
        }
    }

    /// Interfaces: in, out, and the bridge ports of both.
    #[inline(always)]
    pub(super) fn names(&mut self, [in_if, out_if, phys_in, phys_out]: [&[u8]; 4], names: &mut Names) {
        macro_rules! interface {
            ($column:ident) => {
                if !$column.is_empty() {
                    let name = &$column[..$column.len().min(MAX_NAME)];
                    put!(self, $column, names.number(name), |t| t.push_str(&String::from_utf8_lossy(name)));
                }
            };
        }
        interface!(in_if);
        interface!(out_if);
        interface!(phys_in);
        interface!(phys_out);
    }

    #[inline(always)]
    pub(super) fn headers(&mut self, headers: &Headers) {
        macro_rules! fields {
            ($($field:ident)*) => { $(if let Some(value) = headers.$field { self.$field(value); })* };
        }
        fields!(src dst proto length tos ttl id);
        self.frag(headers.frag);
        self.upper(&headers.upper);
    }

    /// `extra` and `raw`; the bytes that they take.
    #[inline]
    fn texts(&mut self, line: &Line<'_>, scratch: &mut String) -> usize {
        scratch.clear();
        line.details(scratch);
        // half an object is none
        if !scratch.is_empty() && scratch.len() <= MAX_TEXT {
            put!(self, extra, scratch.as_bytes());
        }
        let extra = scratch.len().min(MAX_TEXT);
        if line.problem.is_none() { extra } else { extra + self.raw(line.text) }
    }

    /// A NUL would end the text in the column.
    #[cold]
    pub(super) fn raw(&mut self, text: &[u8]) -> usize {
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]).replace('\0', "\u{fffd}");
        put!(self, raw, text.as_bytes());
        text.len()
    }
}

/// Numbers for the names of interfaces in text, apart from those that the kernel gives: unlike them they are
/// over 2^32.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Box<[u8]>>,
    slots: [u32; SLOTS],
    map: HashMap<Box<[u8]>, u32>,
    /// Bytes of the texts of this batch.
    pub(super) texts: usize,
    scratch: String,
}

impl Names {
    #[inline]
    fn number(&mut self, name: &[u8]) -> u64 {
        let last = name.last().copied().unwrap_or(0);
        let slot = (name.len() + usize::from(last)) % SLOTS;
        let number = self.slots[slot];
        let known = self.all.get(number as usize).is_some_and(|n| **n == *name);
        let number = if known { number } else { self.look_up(slot, name) };
        1 << 32 | u64::from(number)
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, slot: usize, name: &[u8]) -> u32 {
        let number = match self.map.get(name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.all.len()).expect("a batch has at most four names a row");
                self.all.push(name.into());
                self.map.insert(name.into(), number);
                number
            }
        };
        self.slots[slot] = number;
        number
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.map.clear();
        self.slots = [0; SLOTS];
        self.texts = 0;
    }
}
