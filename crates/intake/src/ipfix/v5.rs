//! NetFlow v5: one layout, IPv4 alone.

use super::Datagram;
use super::element as e;
use super::exporter::{Field, Sink};
use super::record::{About, Reading};
use super::wire::{Bytes, Header};
use bartizan_decode::columns::Full;

const HEADER: usize = 24;
const RECORD: usize = 48;

/// The places of a record that are read: offset, length, element.
const PLACES: [(usize, usize, u16); 13] = [
    (0, 4, e::SOURCE4),
    (4, 4, e::DESTINATION4),
    (12, 2, e::INGRESS),
    (14, 2, e::EGRESS),
    (16, 4, e::PACKETS),
    (20, 4, e::OCTETS),
    (24, 4, e::START_UP),
    (28, 4, e::END_UP),
    (32, 2, e::SOURCE_PORT),
    (34, 2, e::DESTINATION_PORT),
    (37, 1, e::TCP_FLAGS),
    (38, 1, e::PROTOCOL),
    (39, 1, e::TOS),
];

/// A message.
pub(super) struct Message<'a> {
    header: Header,
    count: u16,
    sampling: u16,
    records: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let (mut head, records) = message.split_at_checked(HEADER).map(|(head, rest)| (Bytes(head), rest))?;
        if head.half()? != 5 {
            return None;
        }
        let (count, up, sent, _) = (head.half()?, head.word()?, head.word()?, head.word()?);
        let (sequence, engine, sampling) = (head.word()?, head.half()?, head.half()?);
        let header = Header { version: 5, sent, up: Some(up), sequence, domain: u32::from(engine) };
        Some(Self { header, count, sampling, records })
    }

    pub(super) const fn engine(&self) -> u32 {
        self.header.domain
    }

    pub(super) const fn sequence(&self) -> u32 {
        self.header.sequence
    }

    pub(super) fn count(&self) -> u32 {
        u32::from(self.count)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.records.len() >= usize::from(self.count) * RECORD
    }

    pub(super) fn read(&self, sink: &mut Sink<'_, '_>, datagram: &mut Datagram) -> Result<(), Full> {
        // two bits are the way in which packets are chosen
        let sampling = u64::from(self.sampling & 0x3fff);
        let about = About { sampling: Some(sampling), boot: None };
        for record in self.records.chunks_exact(RECORD).take(usize::from(self.count)) {
            let mut reading = Reading::default();
            for (at, length, number) in PLACES {
                let field = Field::of_iana(number);
                reading.field(&field, &record[at..at + length], &self.header, &about);
            }
            sink.flow(&mut reading, &self.header, &about)?;
            datagram.flows += 1;
        }
        Ok(())
    }
}
