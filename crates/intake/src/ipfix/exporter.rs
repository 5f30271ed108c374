use super::record::{self, About, Reading};
use super::wire::{Bytes, Header, header};
use super::{Datagram, v5};
use crate::Rows;
use crate::ulogd::Told;
use bartizan_decode::columns::Full;
use bartizan_model::Micros;
use std::collections::HashMap;

/// Observation domains that are remembered.
pub const MAX_DOMAINS: usize = 1024;
/// Templates of one observation domain.
pub const MAX_TEMPLATES: usize = 256;
/// Fields of one template, and 16 times that of all templates of a domain.
pub const MAX_FIELDS: usize = 256;

/// The length of a field that says its length itself.
const VARIABLE: u16 = 0xffff;
/// Sets from here on are data.
const FIRST_DATA: u16 = 256;
/// A number that is further back than this has begun anew.
const LATE: u32 = 1 << 20;

/// A field of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Whose number it is; 0 is IANA's.
    pub(super) enterprise: u32,
    pub(super) number: u16,
    length: u16,
}

impl Field {
    /// One of IANA's, in a layout that is always the same.
    pub(super) const fn of_iana(number: u16) -> Self {
        Self { enterprise: 0, number, length: 0 }
    }
}

#[derive(Debug)]
struct Template {
    fields: Box<[Field]>,
    /// Bytes of the shortest record, 1 or more.
    least: usize,
    /// Whether its records tell of the exporter.
    options: bool,
}

/// Where an exporter was, and how many its last message counted.
#[derive(Clone, Copy, Debug)]
struct Position {
    sequence: u32,
    count: u32,
}

#[derive(Debug, Default)]
struct Domain {
    templates: HashMap<u16, Template>,
    about: About,
    /// Not there after data that could not be counted.
    position: Option<Position>,
    /// The datagram that was its last, of all.
    seen: u64,
}

/// What tells one observation domain from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct DomainKey {
    exporter: [u8; 16],
    version: u16,
    domain: u32,
}

/// What exporters said that their next datagrams need.
#[derive(Debug, Default)]
pub struct Exports {
    domains: HashMap<DomainKey, Domain>,
    datagrams: u64,
    /// Records of the datagram that was broken off because there was no room.
    done: u32,
}

impl Exports {
    /// Adds the flows of one datagram of an exporter, given by its address.
    ///
    /// # Errors
    /// When there is no room: take the rows, then read the same datagram again: it goes on where it was.
    pub fn read(
        &mut self,
        exporter: &[u8; 16],
        message: &[u8],
        rows: &mut Rows,
        told: &Told<'_>,
    ) -> Result<Datagram, Full> {
        let again = std::mem::take(&mut self.done);
        let mut sink = Sink { rows, told, skip: again, records: 0 };
        let result = if let Some(v5) = v5::Message::parse(message) {
            let domain = self.domain(DomainKey { exporter: *exporter, version: 5, domain: v5.engine() });
            let mut datagram = Datagram { malformed: !v5.is_whole(), ..Datagram::default() };
            v5.read(&mut sink, &mut datagram).map(|()| {
                let lost = domain.lost(v5.sequence(), v5.count());
                Datagram { lost, ..datagram }
            })
        } else {
            match header(message) {
                Some((header, body)) => {
                    let key =
                        DomainKey { exporter: *exporter, version: header.version, domain: header.domain };
                    self.domain(key).read(&header, body, &mut sink)
                }
                None => Ok(Datagram { malformed: true, ..Datagram::default() }),
            }
        };
        if result.is_err() {
            self.done = sink.records;
        }
        result
    }

    /// Observation domains that are known.
    #[must_use]
    pub fn domains(&self) -> usize {
        self.domains.len()
    }

    fn domain(&mut self, key: DomainKey) -> &mut Domain {
        self.datagrams += 1;
        if self.domains.len() >= MAX_DOMAINS && !self.domains.contains_key(&key) {
            let oldest = self.domains.iter().min_by_key(|(_, domain)| domain.seen).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.domains.remove(&oldest);
            }
        }
        let domain = self.domains.entry(key).or_default();
        domain.seen = self.datagrams;
        domain
    }
}

/// Where flows go.
pub(super) struct Sink<'r, 't> {
    rows: &'r mut Rows,
    pub(super) told: &'r Told<'t>,
    /// Flows that were added before there was no room.
    skip: u32,
    /// Flows so far.
    records: u32,
}

impl Sink<'_, '_> {
    pub(super) fn flow(&mut self, reading: &mut Reading, header: &Header, about: &About) -> Result<(), Full> {
        if self.records >= self.skip {
            let sent = Micros::from_parts(i64::from(header.sent), 0);
            self.rows.flow(&reading.flow(about), sent, self.told.source, self.told.whose)?;
        }
        self.records += 1;
        Ok(())
    }
}

impl Domain {
    fn read(
        &mut self,
        header: &Header,
        mut body: Bytes<'_>,
        sink: &mut Sink<'_, '_>,
    ) -> Result<Datagram, Full> {
        let mut datagram = Datagram::default();
        // v9 may be padded to a multiple of 4 bytes
        while body.0.len() >= 4 {
            let Some((id, set)) = body.set() else {
                datagram.malformed = true;
                break;
            };
            match (id, header.version) {
                (0, 9) | (2, 10) => self.templates(set, header.version, false, &mut datagram),
                (1, 9) | (3, 10) => self.templates(set, header.version, true, &mut datagram),
                (FIRST_DATA.., _) => match self.templates.get(&id) {
                    Some(template) => {
                        let about = &mut self.about;
                        data(template, set, header, about, sink, &mut datagram)?;
                    }
                    None => datagram.before_template += 1,
                },
                _ => datagram.malformed = true,
            }
        }
        let count = if header.version == 9 { 1 } else { datagram.flows + datagram.options };
        datagram.lost = self.lost(header.sequence, count);
        // how many records these were is not known
        if header.version == 10 && (datagram.before_template > 0 || datagram.malformed) {
            self.position = None;
        }
        Ok(datagram)
    }

    /// How many are missing before a message. Some exporters count the records of a message in its own number, not in
    /// the next one's.
    fn lost(&mut self, sequence: u32, count: u32) -> u32 {
        let before = self.position.replace(Position { sequence, count });
        let Some(before) = before else { return 0 };
        let step = sequence.wrapping_sub(before.sequence);
        if step > u32::MAX - LATE || step == count {
            return 0;
        }
        let lost = step.wrapping_sub(before.count);
        // one that began anew, or was behind all this time
        if lost > LATE { 0 } else { lost }
    }

    /// Takes the templates of a set.
    fn templates(&mut self, mut set: Bytes<'_>, version: u16, options: bool, datagram: &mut Datagram) {
        while set.0.len() >= 4 {
            let (Some(id), Some(count)) = (set.half(), set.half()) else { return };
            if id < FIRST_DATA {
                // padding
                return;
            }
            if version == 10 && count == 0 {
                self.templates.remove(&id);
                continue;
            }
            let count = match (options, version) {
                (false, _) => Some(count),
                // v9 says how many bytes the fields take: those of the scope, then the others
                (true, 9) => set.half().map(|more| (count / 4).saturating_add(more / 4)),
                (true, _) => set.half().map(|_| count),
            };
            let Some(fields) = count.and_then(|count| fields(&mut set, count, version)) else {
                datagram.malformed = true;
                return;
            };
            let least =
                fields.iter().map(|f| if f.length == VARIABLE { 1 } else { usize::from(f.length) }).sum();
            self.templates.remove(&id);
            let known: usize = self.templates.values().map(|t| t.fields.len()).sum();
            let taken = !fields.is_empty()
                && known + fields.len() <= 16 * MAX_FIELDS
                && fields.len() <= MAX_FIELDS
                && fields.iter().all(|f| f.length > 0)
                && self.templates.len() < MAX_TEMPLATES;
            if taken {
                self.templates.insert(id, Template { fields: fields.into(), least, options });
            } else {
                datagram.refused += 1;
            }
        }
    }
}

/// The fields of a template; `None` if they are not all there.
fn fields(set: &mut Bytes<'_>, count: u16, version: u16) -> Option<Vec<Field>> {
    const ENTERPRISE: u16 = 0x8000;
    // each takes 4 bytes of what is there
    let mut fields = Vec::with_capacity(usize::from(count).min(set.0.len() / 4));
    for _ in 0..count {
        let (number, length) = (set.half()?, set.half()?);
        let of_enterprise = version == 10 && number & ENTERPRISE != 0;
        let enterprise = if of_enterprise { set.word()? } else { 0 };
        let number = if of_enterprise { number & !ENTERPRISE } else { number };
        // in v9 the numbers of vendors are among the others, and none has a length of its own
        fields.push(Field { enterprise, number, length });
    }
    Some(fields)
}

/// Reads the records of a set.
fn data(
    template: &Template,
    mut set: Bytes<'_>,
    header: &Header,
    about: &mut About,
    sink: &mut Sink<'_, '_>,
    datagram: &mut Datagram,
) -> Result<(), Full> {
    while set.0.len() >= template.least {
        let mut reading = Reading::default();
        for field in &template.fields {
            let Some(bytes) = value(&mut set, field.length, header.version) else {
                datagram.malformed = true;
                return Ok(());
            };
            if template.options {
                record::about(field, bytes, about);
            } else {
                reading.field(field, bytes, header, about);
            }
        }
        if template.options {
            datagram.options += 1;
        } else {
            sink.flow(&mut reading, header, about)?;
            datagram.flows += 1;
        }
    }
    Ok(())
}

fn value<'a>(set: &mut Bytes<'a>, length: u16, version: u16) -> Option<&'a [u8]> {
    if length != VARIABLE || version == 9 {
        return set.take(usize::from(length));
    }
    let length = match set.byte()? {
        255 => set.half()?,
        short => u16::from(short),
    };
    set.take(usize::from(length))
}
