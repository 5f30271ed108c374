//! What an acknowledged sender says a second time.
//!
//! A sender that did not hear of an acknowledgement, because the connection or the server broke, says its messages
//! again, in their order, before anything new (librelp keeps a window of 128). The last messages of each sender are
//! remembered by their hashes; a new connection of the same sender that begins with some of them repeats them, until the
//! first message that is not among what follows. Those are acknowledged and make no rows.
//!
//! What is remembered goes into the spool with every record ([`Memory::write`]), so that it is exactly what is durable,
//! also after a crash. It is bounded: senders that were silent for long have heard of everything.
//!
//! Two messages with the same bytes are one only at the beginning of a connection, and only if the first of them was
//! among the last before it: those of a firewall differ in their stamps or numbers.

use bartizan_model::Micros;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Messages of a sender that are remembered: twice what librelp has under way.
const WINDOW: usize = 256;
/// For how long a sender that is silent is remembered.
const KEPT: i64 = 600_000_000;
/// Bytes of what is remembered in a record of the spool.
const NOTE: usize = 60 << 10;
/// Senders that are remembered in memory.
const SENDERS: usize = 4096;

/// The last messages of the senders of one desk.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    senders: HashMap<Box<str>, Last>,
}

#[derive(Debug, Default)]
struct Last {
    hashes: VecDeque<u64>,
    at: Micros,
}

/// How far a connection is in what it repeats.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// What may still be repeated, if anything may.
    expected: Option<VecDeque<u64>>,
    begun: bool,
}

impl Replay {
    /// Nothing if a message of a connection is one that was taken before it; otherwise its hash, to be remembered when
    /// its row is there: a note that is written in between must not have it.
    pub(crate) fn new_hash(&mut self, message: &[u8], sender: &str, memory: &Memory) -> Option<u64> {
        let hash = hash(message);
        if !self.begun {
            self.begun = true;
            self.expected = memory.senders.get(sender).map(|last| last.hashes.clone());
        }
        if let Some(expected) = &mut self.expected {
            if let Some(at) = expected.iter().position(|known| *known == hash) {
                expected.drain(..=at);
                return None;
            }
            self.expected = None;
        }
        Some(hash)
    }
}

impl Memory {
    /// A message of a sender has become a row.
    pub(crate) fn remember(&mut self, sender: &str, hash: u64, now: Micros) {
        let last = match self.senders.get_mut(sender) {
            Some(last) => last,
            None => {
                if self.senders.len() >= SENDERS {
                    self.senders.retain(|_, last| now.0.saturating_sub(last.at.0) < KEPT);
                }
                self.senders.entry(sender.into()).or_default()
            }
        };
        if last.hashes.len() >= WINDOW {
            last.hashes.pop_front();
        }
        last.hashes.push_back(hash);
        last.at = now;
    }

    /// Adds what is remembered to a note, the senders of late first: `u8 length, name, u16 number, u64 hashes`.
    pub(crate) fn write(&self, now: Micros, note: &mut Vec<u8>) {
        let fresh = |last: &Last| now.0.saturating_sub(last.at.0) < KEPT;
        let mut senders: Vec<_> = self.senders.iter().filter(|(_, last)| fresh(last)).collect();
        senders.sort_by_key(|(name, last)| (std::cmp::Reverse(last.at), *name));
        for (name, last) in senders {
            let Ok(length) = u8::try_from(name.len()) else { continue };
            if note.len() + name.len() + 3 + 8 * last.hashes.len() > NOTE {
                return;
            }
            note.push(length);
            note.extend_from_slice(name.as_bytes());
            note.extend_from_slice(&u16::try_from(last.hashes.len()).unwrap_or(0).to_le_bytes());
            last.hashes.iter().for_each(|hash| note.extend_from_slice(&hash.to_le_bytes()));
        }
    }

    /// What a note of an earlier life says; what cannot be read is forgotten.
    pub(crate) fn read(mut note: &[u8], now: Micros) -> Self {
        let mut memory = Self::default();
        let mut next = || {
            let (length, rest) = note.split_first()?;
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (number, rest) = rest.split_first_chunk::<2>()?;
            let (hashes, rest) = rest.split_at_checked(8 * usize::from(u16::from_le_bytes(*number)))?;
            note = rest;
            let hashes = hashes.chunks_exact(8).map(|h| u64::from_le_bytes(h.try_into().unwrap_or_default()));
            Some((std::str::from_utf8(name).ok()?, Last { hashes: hashes.collect(), at: now }))
        };
        while let Some((name, last)) = next() {
            memory.senders.insert(name.into(), last);
        }
        memory
    }
}

/// FNV-1a: the same in every life and version of the server.
fn hash(message: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    message.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What the desks remember, as one note of a record; each with its name.
#[derive(Debug, Default)]
pub(crate) struct Notes(BTreeMap<Box<str>, Vec<u8>>);

impl Notes {
    /// From the note of the newest record.
    pub(crate) fn read(mut note: &[u8]) -> Self {
        let mut notes = Self::default();
        let mut next = || {
            let (lengths, rest) = note.split_first_chunk::<4>()?;
            let [a, b, c, d] = *lengths;
            let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([a, b])))?;
            let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([c, d])))?;
            note = rest;
            Some((std::str::from_utf8(name).ok()?, text.to_vec()))
        };
        while let Some((name, text)) = next() {
            notes.0.insert(name.into(), text);
        }
        notes
    }

    /// What a desk remembered.
    pub(crate) fn of(&self, desk: &str) -> &[u8] {
        self.0.get(desk).map_or(&[], Vec::as_slice)
    }

    /// A desk remembers this now.
    pub(crate) fn set(&mut self, desk: &str, note: Vec<u8>) {
        self.0.insert(desk.into(), note);
    }

    /// All of them, as far as they fit into one note.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (name, note) in &self.0 {
            let lengths = (u16::try_from(name.len()), u16::try_from(note.len()));
            let (Ok(name_length), Ok(length)) = lengths else { continue };
            if all.len() + 4 + name.len() + note.len() <= NOTE {
                all.extend_from_slice(&name_length.to_le_bytes());
                all.extend_from_slice(&length.to_le_bytes());
                all.extend_from_slice(name.as_bytes());
                all.extend_from_slice(note);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_000_000_000);

    /// Whether a message makes no row.
    fn repeats(replay: &mut Replay, message: &str, sender: &str, memory: &mut Memory) -> bool {
        let hash = replay.new_hash(message.as_bytes(), sender, memory);
        hash.inspect(|hash| memory.remember(sender, *hash, NOW)).is_none()
    }

    /// Which messages of a connection make rows.
    fn connection(memory: &mut Memory, messages: std::ops::Range<u32>) -> Vec<u32> {
        let mut replay = Replay::default();
        messages.filter(|n| !repeats(&mut replay, &format!("m{n}"), "gw", memory)).collect()
    }

    #[test]
    fn what_is_said_again_makes_no_rows() {
        let mut memory = Memory::default();
        assert_eq!(connection(&mut memory, 0..1000).len(), 1000);
        assert_eq!(connection(&mut memory, 900..1100), (1000..1100).collect::<Vec<_>>());
        assert_eq!(connection(&mut memory, 1100..1200).len(), 100, "nothing was lost on the way");
        // another sender may say the same
        let mut replay = Replay::default();
        assert!(!repeats(&mut replay, "m1199", "web", &mut memory));
    }

    #[test]
    fn only_the_beginning_of_a_connection_repeats() {
        let mut memory = Memory::default();
        connection(&mut memory, 0..10);
        let mut replay = Replay::default();
        let mut again = |text: &str| repeats(&mut replay, text, "gw", &mut memory);
        assert!(again("m7") && again("m9"));
        assert!(!again("m10") && !again("m9"), "then an equal message is a new one");
    }

    #[test]
    fn desks_share_one_note() {
        let mut notes = Notes::default();
        notes.set("relp 127.0.0.1:1", vec![1, 2]);
        notes.set("relp 127.0.0.1:2", vec![3]);
        notes.set("relp 127.0.0.1:1", vec![4; 5]);
        let text = notes.write();
        let read = Notes::read(&text);
        assert_eq!((read.of("relp 127.0.0.1:1"), read.of("relp 127.0.0.1:2")), (&[4; 5][..], &[3][..]));
        assert_eq!(read.of("another"), &[] as &[u8]);
        for cut in 0..text.len() {
            Notes::read(&text[..cut]);
        }
        for n in 0..20 {
            notes.set(&n.to_string(), vec![0; 10_000]);
        }
        assert!(notes.write().len() <= NOTE);
    }

    #[test]
    fn what_is_remembered_outlives_the_server() {
        let mut memory = Memory::default();
        connection(&mut memory, 0..1000);
        let mut note = Vec::new();
        memory.write(NOW, &mut note);
        assert_eq!(note.len(), 1 + 2 + 2 + 8 * WINDOW);
        let mut next = Memory::read(&note, NOW);
        assert_eq!(connection(&mut next, 900..1001), [1000]);
        for cut in 0..note.len() {
            Memory::read(&note[..cut], NOW);
        }
        memory.write(Micros(NOW.0 + KEPT), &mut note);
        assert_eq!(note.len(), 1 + 2 + 2 + 8 * WINDOW, "whoever was silent for long is not noted");
    }
}
