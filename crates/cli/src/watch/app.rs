//! What the screen shows, and what keys do to it. No terminal, no network, no clock: a test can press every key.
//!
//! - A pause holds the display and nothing else: rows go on coming into the ring, and are counted.
//! - Rows have numbers that never change, so that what is selected stays what it is while others come.

use super::{
    chips::{self, Chip},
    feed::{Bars, Counters, FACETS, Facet, Inbox, Wanted},
    ring::Ring,
};
use crate::{escape::for_terminal, failure::Failure, syntax};
use bartizan_model::Kind;
use jiff::{Timestamp, tz::TimeZone};
use ratatui::termion::event::Key;
use serde_json::{Map, Value};

/// Times that histogram and facets look back, in seconds, with how they are said.
pub(super) const WINDOWS: [(i64, &str); 6] =
    [(300, "5m"), (900, "15m"), (3600, "1h"), (21_600, "6h"), (86_400, "1d"), (604_800, "7d")];

/// Columns of a row: what they are called, the member of the row, the field of the filter, and the widest they get.
pub(super) const COLUMNS: [(&str, &str, &str, usize); 10] = [
    ("TIME", "time", "", 12),
    ("HOST", "host", "host", 12),
    ("ACTION", "action", "action", 6),
    ("SRC", "src", "src", 39),
    ("SPORT", "sport", "sport", 5),
    ("DST", "dst", "dst", 39),
    ("DPORT", "dport", "dport", 5),
    ("PROTO", "proto", "proto", 6),
    ("IN", "in_if", "in", 10),
    ("PREFIX", "prefix", "prefix", 40),
];

/// Which part keys act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    Rows,
    Facets,
    Chips,
}

/// A line that is being written.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) text: String,
    /// In characters.
    pub(super) at: usize,
    pub(super) problem: Option<String>,
}

/// The screen.
#[derive(Debug)]
pub(super) struct App {
    pub(super) chips: Vec<Chip>,
    pub(super) chip: usize,
    before: Vec<Vec<Chip>>,
    pub(super) ring: Ring,
    pub(super) focus: Focus,
    /// Whether the newest row is always shown.
    pub(super) follow: bool,
    /// The number of the selected row.
    pub(super) cursor: u64,
    /// The selected cell.
    pub(super) cell: usize,
    /// How many rows fit, as they were drawn last.
    pub(super) page: usize,
    /// The number of the first row that is drawn.
    pub(super) top: u64,
    /// Rows that had come when the display was held.
    held_at: u64,
    /// First line of the details, if they are shown.
    pub(super) details: Option<usize>,
    pub(super) help: bool,
    pub(super) edit: Option<Edit>,
    pub(super) show_bars: bool,
    pub(super) bars: Option<Bars>,
    pub(super) show_facets: bool,
    pub(super) facets: Vec<Facet>,
    pub(super) facet: usize,
    pub(super) window: usize,
    pub(super) utc: bool,
    pub(super) zone: TimeZone,
    pub(super) counters: Counters,
    /// Rows that matched in the last second.
    pub(super) rate: Option<u64>,
    /// Milliseconds from a row's time to the screen.
    pub(super) lag_ms: Option<u64>,
    /// Rows that this program had to let go.
    pub(super) dropped: u64,
    pub(super) connected: bool,
    pub(super) problem: Option<String>,
    turn: u64,
    pub(super) quit: bool,
    pub(super) fatal: Option<Failure>,
    /// Whether anything changed since it was drawn.
    pub(super) dirty: bool,
}

impl App {
    pub(super) fn new(filter: &str, utc: bool, zone: TimeZone) -> Self {
        Self {
            chips: chips::split(filter),
            chip: 0,
            before: Vec::new(),
            ring: Ring::default(),
            focus: Focus::Rows,
            follow: true,
            cursor: 0,
            cell: 3,
            page: 10,
            top: 0,
            held_at: 0,
            details: None,
            help: false,
            edit: None,
            show_bars: true,
            bars: None,
            show_facets: false,
            facets: Vec::new(),
            facet: 0,
            window: 1,
            utc,
            zone,
            counters: Counters::default(),
            rate: None,
            lag_ms: None,
            dropped: 0,
            connected: false,
            problem: None,
            turn: 0,
            quit: false,
            fatal: None,
            dirty: true,
        }
    }

    /// What it wants to know.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            filter: chips::joined(&self.chips),
            turn: self.turn,
            seconds: WINDOWS[self.window].0,
            histogram: self.show_bars,
            facets: self.show_facets,
            end: self.quit,
        }
    }

    /// Rows that have come since the display was held.
    pub(super) fn new_rows(&self) -> u64 {
        if self.follow { 0 } else { self.ring.end().saturating_sub(self.held_at) }
    }

    /// The number behind the last row that is drawn: what comes while the display is held is not.
    pub(super) fn shown_until(&self) -> u64 {
        if self.follow { self.ring.end() } else { self.held_at.max(self.cursor + 1).min(self.ring.end()) }
    }

    /// Takes what has come.
    pub(super) fn take(&mut self, inbox: Inbox, now: Timestamp) {
        if inbox.turn != self.turn {
            return;
        }
        self.dirty |= !inbox.rows.is_empty()
            || inbox.counters.is_some()
            || inbox.connected.is_some()
            || inbox.bars.is_some()
            || inbox.facets.is_some()
            || inbox.problem.is_some();
        self.dropped += inbox.dropped;
        for row in inbox.rows {
            self.ring.push(row);
        }
        if let Some(counters) = inbox.counters {
            // The server counts from nothing on each connection.
            let before = if counters.matched < self.counters.matched { 0 } else { self.counters.matched };
            self.rate = Some(counters.matched - before);
            let newest = self.ring.end().checked_sub(1).and_then(|last| self.ring.row(last));
            let age = newest.and_then(|row| row["time"].as_str()?.parse::<Timestamp>().ok());
            let age = age.and_then(|time| u64::try_from(now.duration_since(time).as_millis()).ok());
            // Where nothing comes, the newest row is old and nobody is late.
            self.lag_ms = counters.lag_ms.or(age.filter(|_| self.rate > Some(0)));
            self.counters = counters;
        }
        if let Some(connected) = inbox.connected {
            self.connected = connected;
        }
        if let Some(bars) = inbox.bars {
            self.bars = Some(bars);
        }
        if let Some(facets) = inbox.facets {
            self.facets = facets;
            self.facet = self.facet.min(self.facets.len().saturating_sub(1));
        }
        if let Some(problem) = inbox.problem {
            self.problem = problem;
        }
        if let Some(fatal) = inbox.fatal {
            self.fatal = Some(fatal);
            self.quit = true;
        }
        self.settle();
    }

    /// The cursor stays among the rows.
    fn settle(&mut self) {
        let last = self.ring.end().saturating_sub(1);
        self.cursor = if self.follow { last } else { self.cursor.clamp(self.ring.first(), last) };
    }

    /// The selected row.
    pub(super) fn row(&self) -> Option<Map<String, Value>> {
        self.ring.row(self.cursor)
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: Key) {
        self.dirty = true;
        if key == Key::Ctrl('c') {
            self.quit = true;
        } else if self.edit.is_some() {
            self.edit_key(key);
        } else if self.help {
            self.help = false;
        } else {
            self.command(key);
        }
        self.settle();
    }

    fn command(&mut self, key: Key) {
        match key {
            Key::Char('q') => self.quit = true,
            Key::Char('?') => self.help = true,
            Key::Char('/') => {
                let text = chips::joined(&self.chips);
                self.edit = Some(Edit { at: text.chars().count(), text, problem: None });
            }
            Key::Esc => self.leave(),
            Key::Char(' ' | '=' | 'L') => {
                if self.follow {
                    self.hold()
                } else {
                    self.follow = true
                }
            }
            Key::Char('\t') => self.next_focus(),
            Key::Char('f') => {
                self.show_facets = !self.show_facets;
                self.focus = if self.show_facets { Focus::Facets } else { Focus::Rows };
            }
            Key::Char('i') => self.show_bars = !self.show_bars,
            Key::Char('u') => self.utc = !self.utc,
            Key::Char('[') => self.window = (self.window + 1).min(WINDOWS.len() - 1),
            Key::Char(']') => self.window = self.window.saturating_sub(1),
            Key::Char('z') => {
                if let Some(before) = self.before.pop() {
                    self.chips = before;
                    self.other_filter();
                }
            }
            _ => match self.focus {
                Focus::Rows => self.rows_key(key),
                Focus::Facets => self.facets_key(key),
                Focus::Chips => self.chips_key(key),
            },
        }
    }

    fn leave(&mut self) {
        if self.details.take().is_none() {
            self.focus = Focus::Rows;
        }
    }

    fn hold(&mut self) {
        if self.follow {
            self.follow = false;
            self.held_at = self.ring.end();
        }
    }

    fn next_focus(&mut self) {
        self.focus = match self.focus {
            Focus::Rows if self.show_facets => Focus::Facets,
            Focus::Rows | Focus::Facets if !self.chips.is_empty() => Focus::Chips,
            _ => Focus::Rows,
        };
    }

    fn rows_key(&mut self, key: Key) {
        if let (Some(line), Key::Down | Key::Char('j') | Key::Up | Key::Char('k')) = (self.details, key) {
            let down = matches!(key, Key::Down | Key::Char('j'));
            self.details = Some(if down { line + 1 } else { line.saturating_sub(1) });
            return;
        }
        let page = self.page.max(1) as i64;
        match key {
            Key::Up | Key::Char('k') => self.go(-1),
            Key::Down | Key::Char('j') => self.go(1),
            Key::PageUp => self.go(-page),
            Key::PageDown => self.go(page),
            Key::Home | Key::Char('g') => self.go(i64::MIN),
            Key::End | Key::Char('G') => self.follow = true,
            Key::Left | Key::Char('h') => self.cell = self.cell.saturating_sub(1),
            Key::Right | Key::Char('l') => self.cell = (self.cell + 1).min(COLUMNS.len() - 1),
            Key::Char('e') => self.next_drop(true),
            Key::Char('E') => self.next_drop(false),
            Key::Char('\n') if !self.ring.is_empty() => {
                self.hold();
                self.details = if self.details.is_some() { None } else { Some(0) };
            }
            Key::Char('+') => self.with_cell(false),
            Key::Char('-') => self.with_cell(true),
            _ => {}
        }
    }

    /// Moves the cursor; whoever looks back wants the display to hold.
    fn go(&mut self, by: i64) {
        self.hold();
        let to = self.cursor.saturating_add_signed(by);
        self.cursor = to.clamp(self.ring.first(), self.ring.end().saturating_sub(1));
    }

    /// The next row, or the one before, that was dropped or rejected.
    fn next_drop(&mut self, later: bool) {
        self.hold();
        let is_drop = |number: &u64| {
            let row = self.ring.row(*number);
            row.is_some_and(|row| matches!(row["action"].as_str(), Some("drop" | "reject")))
        };
        let found = if later {
            (self.cursor + 1..self.ring.end()).find(is_drop)
        } else {
            (self.ring.first()..self.cursor).rev().find(is_drop)
        };
        self.cursor = found.unwrap_or(self.cursor);
    }

    fn with_cell(&mut self, negated: bool) {
        let (_, member, field, _) = COLUMNS[self.cell];
        if let Some(row) = self.row()
            && let Some(chip) = chips::term(field, row.get(member))
        {
            self.add(chip, negated);
        }
    }

    fn facets_key(&mut self, key: Key) {
        match key {
            Key::Up | Key::Char('k') => self.facet = self.facet.saturating_sub(1),
            Key::Down | Key::Char('j') => {
                self.facet = (self.facet + 1).min(self.facets.len().saturating_sub(1));
            }
            Key::Char('+' | '\n' | '-') => {
                if let Some(facet) = self.facets.get(self.facet)
                    && let Some(chip) = chips::term(facet.field, facet.value.as_ref())
                {
                    self.add(chip, key == Key::Char('-'));
                }
            }
            _ => {}
        }
    }

    fn chips_key(&mut self, key: Key) {
        match key {
            Key::Left | Key::Char('h') => self.chip = self.chip.saturating_sub(1),
            Key::Right | Key::Char('l') => {
                self.chip = (self.chip + 1).min(self.chips.len().saturating_sub(1))
            }
            Key::Char('x') | Key::Backspace | Key::Delete if self.chip < self.chips.len() => {
                self.keep();
                self.chips.remove(self.chip);
                self.other_filter();
            }
            Key::Char('!') if self.chip < self.chips.len() => {
                self.keep();
                self.chips[self.chip].negate();
                self.other_filter();
            }
            Key::Char('o') if self.chip < self.chips.len() => {
                self.keep();
                self.chips[self.chip].on ^= true;
                self.other_filter();
            }
            _ => {}
        }
    }

    fn add(&mut self, mut chip: Chip, negated: bool) {
        if negated {
            chip.negate();
        }
        if self.chips.contains(&chip) {
            return;
        }
        self.keep();
        // What says the opposite cannot stay: nothing would be left.
        let mut opposite = chip.clone();
        opposite.negate();
        self.chips.retain(|old| *old != opposite);
        self.chips.push(chip);
        self.other_filter();
    }

    fn keep(&mut self) {
        self.before.push(self.chips.clone());
        if self.before.len() > 100 {
            self.before.remove(0);
        }
    }

    /// Begins anew with the filter as it is now.
    fn other_filter(&mut self) {
        self.turn += 1;
        self.ring.clear();
        self.follow = true;
        self.details = None;
        self.facets.clear();
        self.facet = 0;
        self.bars = None;
        self.counters = Counters::default();
        self.rate = None;
        self.lag_ms = None;
        self.dropped = 0;
        self.problem = None;
        self.chip = self.chip.min(self.chips.len().saturating_sub(1));
        if self.chips.is_empty() && self.focus == Focus::Chips {
            self.focus = Focus::Rows;
        }
    }

    fn edit_key(&mut self, key: Key) {
        let Some(edit) = &mut self.edit else { return };
        let length = edit.text.chars().count();
        let byte = |text: &str, at: usize| text.char_indices().nth(at).map_or(text.len(), |(i, _)| i);
        match key {
            Key::Esc => self.edit = None,
            Key::Char('\n') => {
                let text = edit.text.clone();
                match syntax::check_before_asking(Kind::Events, &text) {
                    Ok(()) => {
                        self.edit = None;
                        let chips = chips::split(&text);
                        if chips != self.chips {
                            self.keep();
                            self.chips = chips;
                            self.other_filter();
                        }
                    }
                    Err(Failure::Filter { error, .. }) => {
                        let meant =
                            error.proposal.map(|p| format!("; did you mean {p}?")).unwrap_or_default();
                        edit.at = text.get(..error.span.start).map_or(0, |before| before.chars().count());
                        edit.problem = Some(for_terminal(&format!("{}{meant}", error.message)).into_owned());
                    }
                    Err(other) => edit.problem = Some(other.text()),
                }
            }
            Key::Left => edit.at = edit.at.saturating_sub(1),
            Key::Right => edit.at = (edit.at + 1).min(length),
            Key::Home | Key::Ctrl('a') => edit.at = 0,
            Key::End | Key::Ctrl('e') => edit.at = length,
            Key::Ctrl('u') => *edit = Edit::default(),
            Key::Backspace if edit.at > 0 => {
                edit.at -= 1;
                edit.text.remove(byte(&edit.text, edit.at));
            }
            Key::Delete if edit.at < length => {
                edit.text.remove(byte(&edit.text, edit.at));
            }
            Key::Char(c) if !c.is_control() && edit.text.len() < bartizan_filter::MAX_LEN => {
                edit.text.insert(byte(&edit.text, edit.at), c);
                edit.at += 1;
                edit.problem = None;
            }
            _ => {}
        }
    }

    /// The values of the facets in the order of the fields, with where each field begins.
    pub(super) fn facet_groups(&self) -> impl Iterator<Item = (&'static str, Vec<(usize, &Facet)>)> {
        FACETS.into_iter().filter_map(|field| {
            let values: Vec<_> = self.facets.iter().enumerate().filter(|(_, f)| f.field == field).collect();
            (!values.is_empty()).then_some((field, values))
        })
    }
}
