//! Checks of files that say country and autonomous system: whatever is in one, it is a table or it is refused.

use bartizan_enrich::{Database, EnrichError};
use bartizan_model::Micros;

/// A whole file, in any form.
pub fn enrich_file(data: &[u8]) {
    match Database::read(data, Micros(1)) {
        Ok(database) => {
            assert!(database.ranges() > 0 && (database.countries() || database.systems()));
            let mut known = 0;
            // the ends of both families, and what the corpus has
            for addr in
                [0, 0xffff_0000_0000, 0xffff_c000_0207, 0xffff_ffff_ffff, 0x2001_0db8 << 96, u128::MAX]
            {
                let record = database.of(addr.to_be_bytes());
                known += usize::from(!record.is_empty());
                if let Some(name) = record.asn.and_then(|asn| database.name(asn)) {
                    assert!(name.chars().count() <= 80);
                }
            }
            assert!(known <= 6);
        }
        Err(EnrichError::NoRange { line, text }) => assert!(line > 0 && text.chars().count() <= 60),
        Err(_) => {}
    }
}
