//! Packets that no condition tells apart.
//!
//! The conditions on the way through a ruleset cut the values of each key into pieces; packets whose values lie in
//! the same pieces go the same way. So a walk is done once for each combination of pieces that comes, and not for
//! each packet.

use crate::model::{Cond, Devices, Key, Ranges, Step};
use crate::packet::{Got, Packet};
use std::collections::BTreeMap;

/// What the conditions of some chains read, and where they cut it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    /// A key under a mask, with the first number of each piece but the lowest.
    cuts: Vec<(Key, u128, Vec<u128>)>,
}

/// Collects the cuts.
#[derive(Default)]
pub(crate) struct Cutter {
    cuts: BTreeMap<(String, u128), (Key, Vec<u128>)>,
}

impl Cutter {
    fn cut(&mut self, key: Key, mask: u128, ranges: &Ranges) {
        let (_, edges) = self.cuts.entry((format!("{key:?}"), mask)).or_insert_with(|| (key, Vec::new()));
        edges.extend(ranges.edges());
        if key == Key::NextHeader {
            // It is asked for by what is behind it.
            self.cut(Key::Proto, mask, ranges);
        }
    }

    pub(crate) fn devices(&mut self, key: Key, devices: &Devices) {
        let names = match devices {
            Devices::Only(names) => names.iter().map(|n| (*n, *n)).collect(),
            _ => Vec::new(),
        };
        self.cut(key, u128::MAX, &Ranges::new(names));
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::If(cond) => self.cond(cond),
            Step::Map { keys, entries, .. } => {
                entries.iter().for_each(|(ranges, _)| self.element(keys, ranges));
            }
            _ => {}
        }
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Test(test) => self.cut(test.key, test.mask, &test.ranges),
            Cond::Concat { keys, elements, .. } => {
                // Whether the packet has them matters also where the set is empty.
                keys.iter().for_each(|key| self.cut(*key, u128::MAX, &Ranges::new(Vec::new())));
                elements.iter().for_each(|ranges| self.element(keys, ranges));
            }
            Cond::Any(all) | Cond::All(all) => all.iter().for_each(|cond| self.cond(cond)),
            Cond::Opaque { .. } => {}
        }
    }

    fn element(&mut self, keys: &[Key], ranges: &[Ranges]) {
        for (key, ranges) in keys.iter().zip(ranges) {
            self.cut(*key, u128::MAX, ranges);
        }
    }

    pub(crate) fn finish(self) -> Classes {
        let cuts = self.cuts.into_iter().map(|((_, mask), (key, mut edges))| {
            edges.sort_unstable();
            edges.dedup();
            (key, mask, edges)
        });
        Classes { cuts: cuts.collect() }
    }
}

impl Classes {
    /// The pieces in which a packet lies, one number for each cut key.
    pub(crate) fn of(&self, packet: &Packet, out: &mut Vec<u32>) {
        out.clear();
        out.extend(self.cuts.iter().map(|(key, mask, edges)| match packet.get(*key) {
            Got::Unknown => 0,
            Got::Nothing => 1,
            Got::Value(value) => {
                let piece = edges.partition_point(|edge| *edge <= value & mask);
                u32::try_from(piece + 2).unwrap_or(u32::MAX)
            }
        }));
    }
}
