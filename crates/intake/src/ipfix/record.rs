//! One data record: fields to a flow.

use super::element::{self as e, NETFILTER, REVERSE};
use super::exporter::Field;
use super::wire::{Header, number};
use crate::json::Extra;
use crate::ulogd::Value;
use bartizan_decode::conntrack::{Flow, FlowEvent, Traffic, Tuple};
use bartizan_decode::nflog::{NFPROTO_IPV4, NFPROTO_IPV6};
use bartizan_model::{addr_from_v4, is_v4_mapped};
use std::fmt::Write as _;

const NANOS: u64 = 1_000_000_000;
/// Seconds from 1900 to 1970.
const NTP: u64 = 2_208_988_800;
/// Bytes of a field that is no number that are kept.
const MAX_BYTES: usize = 256;

/// What the exporter said of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    /// One packet of so many is looked at.
    pub(super) sampling: Option<u64>,
    /// Milliseconds since 1970 at which it booted.
    pub(super) boot: Option<u64>,
}

/// A flow as it is read, field by field.
#[derive(Default)]
pub(super) struct Reading {
    orig: Tuple,
    reply: Tuple,
    octets: [Option<u64>; 2],
    packets: [Option<u64>; 2],
    start: Option<u64>,
    end: Option<u64>,
    /// Nanoseconds.
    duration: Option<u64>,
    reason: Option<u64>,
    event: Option<FlowEvent>,
    mark: Option<u32>,
    id: Option<u32>,
    extra: Extra,
}

fn address(bytes: &[u8]) -> Option<[u8; 16]> {
    match bytes.len() {
        4 => bytes.first_chunk().map(|a| addr_from_v4(*a)),
        16 => bytes.first_chunk().copied(),
        _ => None,
    }
}

/// Seconds and a fraction since 1900, as nanoseconds since 1970.
fn ntp(value: u64) -> Option<u64> {
    let (seconds, fraction) = (value >> 32, value & 0xffff_ffff);
    Some(seconds.checked_sub(NTP)? * NANOS + ((fraction * NANOS) >> 32))
}

impl Reading {
    /// Takes a field; what has no column goes into `extra`.
    pub(super) fn field(&mut self, field: &Field, bytes: &[u8], header: &Header, about: &About) {
        let taken = match field.enterprise {
            0 => self.element(field.number, bytes, header, about, 0),
            REVERSE => match field.number {
                e::OCTETS | e::PACKETS | e::TOTAL_OCTETS | e::TOTAL_PACKETS => {
                    self.element(field.number, bytes, header, about, 1)
                }
                _ => None,
            },
            NETFILTER => self.netfilter(field.number, bytes),
            _ => None,
        };
        if taken.is_none() {
            self.other(field, bytes);
        }
    }

    /// One of IANA's; `direction` is 1 in the answers.
    fn element(
        &mut self,
        element: u16,
        bytes: &[u8],
        header: &Header,
        about: &About,
        direction: usize,
    ) -> Option<()> {
        let n = number(bytes);
        let port = || n.and_then(|n| u16::try_from(n).ok());
        let byte = || n.and_then(|n| u8::try_from(n).ok());
        match element {
            e::OCTETS | e::INITIATOR_OCTETS => self.octets[direction] = Some(n?),
            e::PACKETS | e::INITIATOR_PACKETS => self.packets[direction] = Some(n?),
            // the growth counts where both are there
            e::TOTAL_OCTETS => _ = self.octets[direction].get_or_insert(n?),
            e::TOTAL_PACKETS => _ = self.packets[direction].get_or_insert(n?),
            e::RESPONDER_OCTETS => self.octets[1] = Some(n?),
            e::RESPONDER_PACKETS => self.packets[1] = Some(n?),
            e::PROTOCOL => self.orig.proto = Some(byte()?),
            e::SOURCE_PORT => self.orig.sport = Some(port()?),
            e::DESTINATION_PORT => self.orig.dport = Some(port()?),
            e::UDP_SOURCE | e::TCP_SOURCE => _ = self.orig.sport.get_or_insert(port()?),
            e::UDP_DESTINATION | e::TCP_DESTINATION => _ = self.orig.dport.get_or_insert(port()?),
            e::SOURCE4 | e::SOURCE6 => give(&mut self.orig.src, address(bytes)?),
            e::DESTINATION4 | e::DESTINATION6 => give(&mut self.orig.dst, address(bytes)?),
            e::NAT_SOURCE4 | e::NAT_SOURCE6 => give(&mut self.reply.dst, address(bytes)?),
            e::NAT_DESTINATION4 | e::NAT_DESTINATION6 => give(&mut self.reply.src, address(bytes)?),
            e::NAT_SOURCE_PORT => self.reply.dport = Some(port()?),
            e::NAT_DESTINATION_PORT => self.reply.sport = Some(port()?),
            e::ICMP4 | e::ICMP6 => {
                let [kind, code] = port()?.to_be_bytes();
                (self.orig.icmp_type, self.orig.icmp_code) = (Some(kind), Some(code));
            }
            e::ICMP4_TYPE | e::ICMP6_TYPE => self.orig.icmp_type = Some(byte()?),
            e::ICMP4_CODE | e::ICMP6_CODE => self.orig.icmp_code = Some(byte()?),
            e::FLOW_ID => self.id = Some(u32::try_from(n?).ok()?),
            e::END_REASON => {
                self.reason = Some(n?);
                return None;
            }
            e::FIREWALL_EVENT | e::NAT_EVENT => {
                self.event = match n? {
                    1 => Some(FlowEvent::New),
                    2 => Some(FlowEvent::Destroy),
                    _ => return None,
                };
            }
            // said by the addresses
            e::IP_VERSION | e::PADDING => {}
            e::SAMPLING | e::SAMPLING_PACKETS | e::SAMPLER_INTERVAL => return (n? <= 1).then_some(()),
            _ => return self.time(element, n?, header, about),
        }
        Some(())
    }

    /// When the flow began or ended.
    fn time(&mut self, element: u16, n: u64, header: &Header, about: &About) -> Option<()> {
        let seconds = |n: u64| n.checked_mul(NANOS);
        let millis = |n: u64| n.checked_mul(1_000_000);
        let boot = match header.up {
            Some(up) => (u64::from(header.sent) * 1000).checked_sub(u64::from(up)),
            None => about.boot,
        };
        let up = |n: u64| millis(boot?.checked_add(n)?);
        let before = |micros: u64| (u64::from(header.sent) * NANOS).checked_sub(micros.checked_mul(1000)?);
        match element {
            e::START_SECONDS => self.start = Some(seconds(n)?),
            e::END_SECONDS => self.end = Some(seconds(n)?),
            e::START_MILLIS => self.start = Some(millis(n)?),
            e::END_MILLIS => self.end = Some(millis(n)?),
            e::START_MICROS | e::START_NANOS => self.start = Some(ntp(n)?),
            e::END_MICROS | e::END_NANOS => self.end = Some(ntp(n)?),
            e::START_DELTA => self.start = Some(before(n)?),
            e::END_DELTA => self.end = Some(before(n)?),
            e::START_UP => self.start = Some(up(n)?),
            e::END_UP => self.end = Some(up(n)?),
            e::EVENT_MILLIS => _ = self.end.get_or_insert(millis(n)?),
            e::DURATION_MILLIS => self.duration = Some(millis(n)?),
            e::DURATION_MICROS => self.duration = Some(n.checked_mul(1000)?),
            _ => return None,
        }
        Some(())
    }

    /// One of ulogd2's.
    fn netfilter(&mut self, element: u16, bytes: &[u8]) -> Option<()> {
        let word = u32::try_from(number(bytes)?).ok()?;
        match element {
            4 => self.mark = Some(word),
            6 => self.id = Some(word),
            _ => return None,
        }
        Some(())
    }

    /// Keeps a field under its name, or its number; what is 0 says nothing.
    #[cold]
    fn other(&mut self, field: &Field, bytes: &[u8]) {
        if bytes.iter().all(|b| *b == 0) {
            return;
        }
        let mut name = match field.enterprise {
            0 => e::name(field.number).map(str::to_owned),
            REVERSE => e::name(field.number).map(|name| format!("reverse:{name}")),
            _ => None,
        };
        let name = name.get_or_insert_with(|| format!("{}/{}", field.enterprise, field.number));
        let mut text = String::new();
        let mac = matches!(
            field.number,
            e::SOURCE_MAC | e::DESTINATION_MAC | e::POST_SOURCE_MAC | e::POST_DESTINATION_MAC
        );
        let value = match number(bytes) {
            Some(n) if !mac => Value::Unsigned(n),
            _ => {
                for (i, byte) in bytes.iter().take(MAX_BYTES).enumerate() {
                    let colon = if mac && i > 0 { ":" } else { "" };
                    let _ = write!(text, "{colon}{byte:02x}");
                }
                Value::Text(text.as_bytes())
            }
        };
        self.extra.put(name.as_bytes(), &value);
    }

    /// The flow. One that goes on was reported because it is long.
    pub(super) fn flow(&mut self, about: &About) -> Flow<'_> {
        const ACTIVE_TIMEOUT: u64 = 2;
        // exporters without an element for it put type and code into the port
        if matches!(self.orig.proto, Some(1 | 58)) {
            let (source, destination) = (self.orig.sport.take(), self.orig.dport.take());
            if self.orig.icmp_type.is_none()
                && source.unwrap_or(0) == 0
                && let Some([kind, code]) = destination.map(u16::to_be_bytes)
            {
                (self.orig.icmp_type, self.orig.icmp_code) = (Some(kind), Some(code));
            }
        }
        if let Some(duration) = self.duration {
            match (self.start, self.end) {
                (Some(start), None) => self.end = start.checked_add(duration),
                (None, Some(end)) => self.start = end.checked_sub(duration),
                _ => {}
            }
        }
        if let Some(sampling) = about.sampling.filter(|s| *s > 1) {
            self.extra.put(b"sampling", &Value::Unsigned(sampling));
        }
        let mut traffic = |direction: usize| match (self.packets[direction], self.octets[direction]) {
            (Some(packets), Some(bytes)) => Some(Traffic { packets, bytes }),
            (None, None) => None,
            // half of it has no column
            (packets, bytes) => {
                let answers = if direction == 0 { "" } else { "reply_" };
                for (name, value) in [("packets", packets), ("bytes", bytes)] {
                    if let Some(value) = value {
                        self.extra.put(format!("{answers}{name}").as_bytes(), &Value::Unsigned(value));
                    }
                }
                None
            }
        };
        let (sent, answered) = (traffic(0), traffic(1));
        let event = self.event.unwrap_or(match self.reason {
            Some(ACTIVE_TIMEOUT) => FlowEvent::Update,
            _ => FlowEvent::Destroy,
        });
        let family = match self.orig.src.or(self.orig.dst) {
            Some(address) if is_v4_mapped(&address) => NFPROTO_IPV4,
            Some(_) => NFPROTO_IPV6,
            None => 0,
        };
        Flow {
            orig: self.orig,
            reply: self.reply,
            sent,
            answered,
            start: self.start,
            stop: self.end,
            at: if event == FlowEvent::Update { self.end } else { None },
            mark: self.mark,
            id: self.id,
            extra: self.extra.finish(),
            ..Flow::new(event, family)
        }
    }
}

/// Keeps an address; one of zeros stands in templates for both families, beside that of the other.
fn give(slot: &mut Option<[u8; 16]>, address: [u8; 16]) {
    let nothing = address == [0; 16] || address == addr_from_v4([0; 4]);
    if !(nothing && slot.is_some()) {
        *slot = Some(address);
    }
}

/// What a record of options says of the exporter.
pub(super) fn about(field: &Field, bytes: &[u8], about: &mut About) {
    match (field.enterprise, field.number) {
        (0, e::SAMPLING | e::SAMPLER_INTERVAL) => about.sampling = number(bytes),
        // so many packets of the interval and the space together
        (0, e::SAMPLING_SPACE) => about.sampling = number(bytes).map(|space| space.saturating_add(1)),
        (0, e::BOOT) => about.boot = number(bytes),
        _ => {}
    }
}
