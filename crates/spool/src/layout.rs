//! The bytes of segments and records. Pure; the layout is drawn in the crate's documentation.
//!
//! Nothing here trusts what it reads: a header is valid only if magic, epoch, lengths and checksum all agree,
//! and no length is believed before it was compared with its limit.

use bartizan_model::{Epoch, Kind, Seq};

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: u64 = 64;
/// Bytes of a record's header, without its note.
pub(crate) const RECORD_HEADER: usize = 56;
/// The largest payload of a record, in bytes.
pub const MAX_PAYLOAD: usize = 16 << 20;
/// The largest note of a record, in bytes.
pub const MAX_NOTE: usize = 64 << 10;
/// Sequence numbers stay below this, so that arithmetic on them cannot overflow.
pub(crate) const SEQ_LIMIT: u64 = 1 << 62;

pub(crate) const RECORD_MAGIC: [u8; 4] = *b"\xB5Rec";
const SEGMENT_MAGIC: [u8; 8] = *b"\xB5SPOOL1\n";
const SEGMENT_VERSION: u32 = 1;

/// What a segment file is called by: where it begins in the lane, and whose it is. All that has to be known of a
/// segment without a look into it, so that no damage inside can hide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentKey {
    /// The sequence number of its first record.
    pub(crate) first: u64,
    /// The life that wrote it.
    pub(crate) epoch: Epoch,
    /// Cumulative weight of all records of the lane before it.
    pub(crate) before: u64,
}

impl SegmentKey {
    /// `{first:020}-{epoch:016x}-{before:016x}.seg`
    pub(crate) fn file_name(self) -> String {
        format!("{:020}-{:016x}-{:016x}.seg", self.first, self.epoch.0, self.before)
    }

    /// The key that a file name stands for; only the exact form counts.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".seg")?.split('-');
        let first = parts.next()?.parse().ok()?;
        let epoch = Epoch(u64::from_str_radix(parts.next()?, 16).ok()?);
        let before = u64::from_str_radix(parts.next()?, 16).ok()?;
        let key = Self { first, epoch, before };
        (key.file_name() == name && (1..SEQ_LIMIT).contains(&key.first)).then_some(key)
    }
}

/// The header of a segment: what its name says, for a file that lost its name.
pub(crate) fn encode_segment_header(key: SegmentKey) -> [u8; SEGMENT_HEADER as usize] {
    let mut out = [0; SEGMENT_HEADER as usize];
    out[0..8].copy_from_slice(&SEGMENT_MAGIC);
    out[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&key.epoch.0.to_le_bytes());
    out[24..32].copy_from_slice(&key.first.to_le_bytes());
    out[32..40].copy_from_slice(&key.before.to_le_bytes());
    let crc = crc32c::crc32c(&out[..60]);
    out[60..64].copy_from_slice(&crc.to_le_bytes());
    out
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
    /// Cumulative weight of all records of the lane before this one.
    pub(crate) before: u64,
    pub(crate) weight: u64,
    pub(crate) kind: Kind,
    pub(crate) note_len: usize,
    pub(crate) payload_len: usize,
    pub(crate) payload_crc: u32,
}

impl RecordHead {
    /// Cumulative weight including this record.
    pub(crate) const fn after(&self) -> u64 {
        self.before.wrapping_add(self.weight)
    }

    /// Bytes of header and note.
    pub(crate) const fn head_len(&self) -> u64 {
        (RECORD_HEADER + self.note_len) as u64
    }

    /// Bytes of the whole record.
    pub(crate) const fn len(&self) -> u64 {
        self.head_len() + self.payload_len as u64
    }

    pub(crate) const fn seq(&self) -> Seq {
        Seq(self.seq)
    }
}

/// Appends a whole record to `out`. The lengths in `head` are those of `note` and `payload`.
pub(crate) fn encode_record(head: &RecordHead, note: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let mut fixed = [0; RECORD_HEADER];
    fixed[0..4].copy_from_slice(&RECORD_MAGIC);
    fixed[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    fixed[8..16].copy_from_slice(&head.epoch.0.to_le_bytes());
    fixed[16..24].copy_from_slice(&head.seq.to_le_bytes());
    fixed[24..32].copy_from_slice(&head.before.to_le_bytes());
    fixed[32..40].copy_from_slice(&head.weight.to_le_bytes());
    fixed[40..44].copy_from_slice(&(note.len() as u32).to_le_bytes());
    fixed[44..48].copy_from_slice(&head.payload_crc.to_le_bytes());
    fixed[48] = head.kind as u8;
    let crc = header_crc(&fixed, note);
    fixed[52..56].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(note);
    out.extend_from_slice(payload);
}

/// The header that may stand in front of `bytes`: everything is checked but the checksum, which needs the note.
pub(crate) fn peek_record(bytes: &[u8], epoch: Epoch) -> Option<RecordHead> {
    let fixed = bytes.get(..RECORD_HEADER)?;
    if fixed[..4] != RECORD_MAGIC || u64_at(fixed, 8)? != epoch.0 || fixed[49..52] != [0; 3] {
        return None;
    }
    let head = RecordHead {
        epoch,
        seq: u64_at(fixed, 16)?,
        before: u64_at(fixed, 24)?,
        weight: u64_at(fixed, 32)?,
        kind: Kind::from_byte(fixed[48])?,
        note_len: usize::try_from(u32_at(fixed, 40)?).ok()?,
        payload_len: usize::try_from(u32_at(fixed, 4)?).ok()?,
        payload_crc: u32_at(fixed, 44)?,
    };
    (head.note_len <= MAX_NOTE && head.payload_len <= MAX_PAYLOAD && (1..SEQ_LIMIT).contains(&head.seq))
        .then_some(head)
}

/// Whether header and note, given whole at the front of `bytes`, are what was written.
pub(crate) fn head_is_whole(bytes: &[u8], head: &RecordHead) -> bool {
    let (Some(fixed), Some(note)) = (
        bytes.first_chunk::<RECORD_HEADER>(),
        bytes.get(RECORD_HEADER..RECORD_HEADER.saturating_add(head.note_len)),
    ) else {
        return false;
    };
    u32_at(fixed, 52) == Some(header_crc(fixed, note))
}

/// The weight between two cumulative weights. They wrap, so the difference is exact; one that goes backwards
/// cannot come from one lane and counts as nothing.
pub(crate) const fn weight_between(before: u64, after: u64) -> u64 {
    let difference = after.wrapping_sub(before);
    if difference > i64::MAX as u64 { 0 } else { difference }
}

fn header_crc(fixed: &[u8; RECORD_HEADER], note: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&fixed[..52]), note)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SegmentKey = SegmentKey { first: 7, epoch: Epoch(0xfeed), before: 0x2a };

    #[test]
    fn names_parse_to_what_made_them_and_nothing_else_does() {
        assert_eq!(KEY.file_name(), "00000000000000000007-000000000000feed-000000000000002a.seg");
        assert_eq!(SegmentKey::parse(&KEY.file_name()), Some(KEY));
        for bad in [
            "7-feed-2a.seg",
            "00000000000000000007-000000000000feed.seg",
            "00000000000000000000-000000000000feed-000000000000002a.seg",
            "18446744073709551615-000000000000feed-000000000000002a.seg",
            "00000000000000000007-000000000000FEED-000000000000002a.seg",
            "+0000000000000000007-000000000000feed-000000000000002a.seg",
            "00000000000000000007-000000000000feed-000000000000002a-.seg",
            "00000000000000000007-000000000000feed-000000000000002a.seg.bad",
            "",
        ] {
            assert_eq!(SegmentKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_bit_of_a_record_header_counts() {
        let head = RecordHead {
            epoch: KEY.epoch,
            seq: 7,
            before: 1,
            weight: 2,
            kind: Kind::Events,
            note_len: 3,
            payload_len: 4,
            payload_crc: crc32c::crc32c(b"data"),
        };
        let mut whole = Vec::new();
        encode_record(&head, b"not", b"data", &mut whole);
        assert_eq!(whole.len() as u64, head.len());
        assert_eq!(peek_record(&whole, KEY.epoch), Some(head));
        assert!(head_is_whole(&whole, &head));
        for bit in 0..head.head_len() as usize * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let valid = peek_record(&bytes, KEY.epoch).is_some_and(|h| head_is_whole(&bytes, &h));
            assert!(!valid, "bit {bit}");
        }
    }

    #[test]
    fn weights_are_exact_over_the_wrap_and_never_negative() {
        assert_eq!(weight_between(3, 10), 7);
        assert_eq!(weight_between(u64::MAX - 1, 5), 7);
        assert_eq!(weight_between(10, 3), 0);
    }
}
