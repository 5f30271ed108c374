//! What is counted while a data file is read once: the groups of all rollups.

use super::groups::{Groups, Sums};
use super::read::{Dictionaries, Reader, Rows};
use crate::error::LakeError;
use arrow_array::Array;
use bartizan_schema::Rollup;
use bytes::Bytes;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType};
use object_store::path::Path;

/// 2^11 registers: 1 KiB where there are many sources, and an error of 2.3 %.
const SKETCH_LG: u8 = 11;
/// Groups of a file that get a sketch. More are no minutes of a fleet but clocks that jump about.
const MAX_SKETCHES: usize = 16_384;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// Host, action, rule and prefix, as numbers of texts.
pub(crate) type Labels = [u32; 4];

/// Numbers that say what a group is. Buckets are counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Packed(u128);

impl Packed {
    /// Room for every bucket, 2^32 kinds, every protocol or none, every port or none: 40 + 32 + 17 + 33 bits.
    pub(crate) fn new(bucket: i64, kind: u32, proto: Option<i16>, port: Option<i32>) -> Self {
        let bucket = (bucket.wrapping_add(1 << 39)) as u64 & ((1 << 40) - 1);
        let proto = proto.map_or(0, |p| 1 + (u128::from(p.cast_unsigned())));
        let port = port.map_or(0, |p| 1 + (u128::from(p.cast_unsigned())));
        Self(u128::from(bucket) << 82 | u128::from(kind) << 50 | proto << 33 | port)
    }

    pub(crate) fn bucket(self) -> i64 {
        ((self.0 >> 82) as i64).wrapping_sub(1 << 39)
    }

    pub(crate) fn kind(self) -> u32 {
        (self.0 >> 50) as u32
    }

    pub(crate) fn proto(self) -> Option<i16> {
        let proto = (self.0 >> 33) as u32 & 0x1_ffff;
        proto.checked_sub(1).map(|p| (p as u16).cast_signed())
    }

    pub(crate) fn port(self) -> Option<i32> {
        let port = self.0 as u64 & 0x1_ffff_ffff;
        port.checked_sub(1).map(|p| (p as u32).cast_signed())
    }
}

/// The group of a source: hour, action, country and autonomous system.
pub(crate) type Origin = (i64, u32, u32, Option<i64>);
/// The group of an address: address and action.
pub(crate) type Source = (Option<[u8; 16]>, u32);

/// A file's groups, and the texts that they name by number.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub texts: Dictionaries,
    pub labels: Groups<Labels, u32>,
    /// By action.
    pub activity_1m: Groups<Packed, (Sums, Option<HllSketch>)>,
    /// By labels.
    pub events_1m: Groups<Packed, Sums>,
    /// By labels, with the latest time.
    pub activity_1h: Groups<Packed, (Sums, i64)>,
    /// By labels.
    pub events_1h: Groups<Packed, Sums>,
    pub origins_1h: Groups<Origin, Sums>,
    pub sources: Groups<Source, Sums>,
    /// The earliest time.
    pub earliest: Option<i64>,
}

impl Tally {
    /// Counts all rows of a file.
    pub(crate) fn of(bytes: Bytes, path: Path) -> Result<Self, LakeError> {
        let mut tally = Self::default();
        let mut reader = Reader::new(bytes, path)?;
        while let Some(rows) = reader.next(&mut tally.texts)? {
            tally.add(&rows)?;
        }
        Ok(tally)
    }

    fn add(&mut self, rows: &Rows) -> Result<(), LakeError> {
        if rows.time.null_count() > 0 {
            return Err(LakeError::Rows { reason: "a row without a time".to_owned() });
        }
        for row in 0..rows.time.len() {
            self.add_row(rows, row);
        }
        Ok(())
    }

    fn add_row(&mut self, rows: &Rows, row: usize) {
        let time = rows.time.value(row);
        let (minute, hour) = (time.div_euclid(MINUTE), time.div_euclid(HOUR));
        let proto = rows.proto.is_valid(row).then(|| rows.proto.value(row));
        let dport = rows.dport.is_valid(row).then(|| rows.dport.value(row));
        let asn = rows.asn.is_valid(row).then(|| rows.asn.value(row));
        // Of the size that the column has.
        let src = rows.src.is_valid(row).then(|| rows.src.value(row).try_into().unwrap_or([0; 16]));
        let packets = if rows.packets.is_valid(row) { rows.packets.value(row) } else { 0 };
        let bytes = if rows.length.is_valid(row) { rows.length.value(row).into() } else { 0 };
        let action = rows.action[row];
        let labels = [rows.host[row], action, rows.rule[row], rows.prefix[row]];
        let kind = *self.labels.of(labels, |n| u32::try_from(n).unwrap_or(u32::MAX));

        let (sums, sketch) = self
            .activity_1m
            .of(Packed::new(minute, action, None, None), |n| (Sums::default(), new_sketch(n)));
        sums.add(packets, bytes);
        if let (Some(sketch), Some(src)) = (sketch, &src) {
            sketch.update(raw_bytes::from_slice(src));
        }
        let none = |_| Sums::default();
        self.events_1m.of(Packed::new(minute, kind, proto, None), none).add(packets, bytes);
        let (sums, last) =
            self.activity_1h.of(Packed::new(hour, kind, None, None), |_| (Sums::default(), i64::MIN));
        sums.add(packets, bytes);
        *last = time.max(*last);
        self.events_1h.of(Packed::new(hour, kind, proto, dport), none).add(packets, bytes);
        self.origins_1h.of((hour, action, rows.country[row], asn), none).add(packets, bytes);
        self.sources.of((src, action), none).add(packets, bytes);
        self.earliest = Some(self.earliest.map_or(time, |earliest| earliest.min(time)));
    }
}

fn new_sketch(before: usize) -> Option<HllSketch> {
    (before < MAX_SKETCHES).then(|| HllSketch::new(SKETCH_LG, HllType::Hll4).ok()).flatten()
}

/// The first moment of a bucket.
pub(crate) fn start_of(rollup: Rollup, bucket: i64) -> i64 {
    bucket.saturating_mul(rollup.bucket().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again_for_any_time_protocol_and_port() {
        for time in [i64::MIN, -1, 0, 1, 1_795_000_000_000_000, i64::MAX] {
            for proto in [None, Some(i16::MIN), Some(-1), Some(0), Some(6), Some(i16::MAX)] {
                for port in [None, Some(i32::MIN), Some(-1), Some(0), Some(65_535), Some(i32::MAX)] {
                    for kind in [0, 1, u32::MAX] {
                        let packed = Packed::new(time.div_euclid(MINUTE), kind, proto, port);
                        assert_eq!(packed.bucket(), time.div_euclid(MINUTE));
                        assert_eq!((packed.kind(), packed.proto(), packed.port()), (kind, proto, port));
                    }
                }
            }
        }
    }
}
