//! What several databases say, and columns of it.

use crate::{Database, Record};
use arrow_array::builder::{Int64Builder, StringViewBuilder};
use arrow_array::{Array as _, FixedSizeBinaryArray, Int64Array, StringViewArray};
use std::sync::Arc;

/// Addresses of a batch that are remembered; most of a batch are few.
const REMEMBERED_BITS: u32 = 10;

/// Databases in the order of the configuration: where the first knows nothing, the next is asked.
#[derive(Clone, Debug, Default)]
pub struct Places {
    databases: Vec<Arc<Database>>,
}

impl Places {
    /// From databases, the ones that count first before the others.
    #[must_use]
    pub fn new(databases: Vec<Arc<Database>>) -> Self {
        Self { databases }
    }

    /// What is known of an address.
    #[must_use]
    pub fn of(&self, addr: [u8; 16]) -> Record {
        self.databases.iter().fold(Record::default(), |known, database| known.or(database.of(addr)))
    }

    /// The name of an autonomous system.
    #[must_use]
    pub fn name(&self, asn: u32) -> Option<&str> {
        self.databases.iter().find_map(|database| database.name(asn))
    }

    /// Country and autonomous system of each address of a column.
    #[must_use]
    pub fn columns(&self, addrs: &FixedSizeBinaryArray) -> (StringViewArray, Int64Array) {
        let rows = addrs.len();
        if self.databases.is_empty() {
            return (StringViewArray::new_null(rows), Int64Array::new_null(rows));
        }
        let mut remembered = Remembered::new(self);
        let mut countries = StringViewBuilder::with_capacity(rows);
        let mut systems = Int64Builder::with_capacity(rows);
        for row in 0..rows {
            let addr = if addrs.is_null(row) { None } else { addrs.value(row).try_into().ok() };
            let record = addr.map_or_else(Record::default, |addr| remembered.of(addr));
            countries.append_option(record.country.as_ref().map(|country| country.as_str()));
            systems.append_option(record.asn.map(i64::from));
        }
        (countries.finish(), systems.finish())
    }
}

/// The latest answers, each at the place that its address says.
struct Remembered<'a> {
    places: &'a Places,
    slots: Vec<Option<([u8; 16], Record)>>,
}

impl<'a> Remembered<'a> {
    fn new(places: &'a Places) -> Self {
        Self { places, slots: vec![None; 1 << REMEMBERED_BITS] }
    }

    fn of(&mut self, addr: [u8; 16]) -> Record {
        let number = u128::from_be_bytes(addr);
        // The halves are added, so that both families spread; the multiplier is 2^64 over the golden ratio.
        let folded = ((number >> 64) as u64).wrapping_add(number as u64);
        let slot = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - REMEMBERED_BITS);
        match self.slots.get_mut(slot as usize) {
            Some(Some((known, record))) if *known == addr => *record,
            Some(slot) => slot.insert((addr, self.places.of(addr))).1,
            None => self.places.of(addr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{Micros, addr_from_ip};

    fn database(text: &str) -> Arc<Database> {
        Arc::new(Database::read(text.as_bytes(), Micros(0)).unwrap())
    }

    #[test]
    fn the_first_database_that_knows_counts_column_by_column() {
        let places = Places::new(vec![
            database("192.0.2.0,192.0.2.255,NL\n"),
            database(
                "192.0.2.0\t192.0.2.127\t64500\tDE\tExample\n198.51.100.0\t198.51.100.9\t64501\tFR\tx\n",
            ),
        ]);
        let addrs = ["192.0.2.1", "192.0.2.200", "198.51.100.1", "10.0.0.1", "192.0.2.1"];
        let addrs = addrs.iter().map(|a| Some(addr_from_ip(a.parse().unwrap()))).chain([None]);
        let column = FixedSizeBinaryArray::try_from_sparse_iter_with_size(addrs, 16).unwrap();
        let (countries, systems) = places.columns(&column);
        let countries: Vec<_> = countries.iter().map(|c| c.unwrap_or("-")).collect();
        let systems: Vec<_> = systems.iter().map(|s| s.unwrap_or(0)).collect();
        assert_eq!(countries, ["NL", "NL", "FR", "-", "NL", "-"]);
        assert_eq!(systems, [64500, 0, 64501, 0, 64500, 0]);
        assert_eq!(places.name(64500), Some("Example"));
    }

    /// Many addresses meet in one place of the memory of answers.
    #[test]
    fn what_is_remembered_is_what_is_known() {
        let lines: String =
            (0..=255).map(|i| format!("10.0.{i}.0\t10.0.{i}.255\t{}\tNL\tx\n", i + 1)).collect();
        let places = Places::new(vec![database(&lines)]);
        let addrs: Vec<[u8; 16]> = (0_u32..20_000)
            .map(|i| bartizan_model::addr_from_v4((0x0a00_0000 + i * 13).to_be_bytes()))
            .collect();
        let column = FixedSizeBinaryArray::try_from_iter(addrs.iter()).unwrap();
        let (_, systems) = places.columns(&column);
        for (addr, system) in addrs.iter().zip(&systems) {
            assert_eq!(system, places.of(*addr).asn.map(i64::from));
        }
    }
}
