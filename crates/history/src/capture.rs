//! Captures: pcap and pcapng, packets of the link types that hosts and firewalls write.

use crate::content::Content;
use crate::file::{PIECE, Reader};
use crate::text::Hosts;
use bartizan_decode::Event;
use bartizan_decode::netlink::{Message, until_nul};
use bartizan_decode::nflog::{Link, NFULNL_MSG_PACKET, NflogPacket};
use bartizan_decode::packet::{self, ETHER_IPV4, ETHER_IPV6, Headers, Mac};
use bartizan_intake::text::Naming as _;
use bartizan_intake::{Read, Rows, SourceError, Tally};
use bartizan_model::Micros;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{Block, Linktype};

/// The word of the `source` column.
const PCAP: &str = "pcap";
/// Bytes of one packet or block; a bigger one is damage.
const MAX_BLOCK: usize = 16 << 20;
/// Interfaces of a capture.
const MAX_INTERFACES: usize = 4096;
/// Why a packet gives no row.
const LINK_TYPE: &str = "a packet of a link type that is not read";
const NO_PACKET: &str = "a frame that is no packet";
const NO_INTERFACE: &str = "a packet of an interface that is not described";

/// What is read of an interface.
#[derive(Clone, Debug)]
struct Interface {
    link: i32,
    name: String,
    /// Units of a second.
    resolution: u64,
    /// Seconds that are added.
    offset: i64,
}

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Pcap { big: bool, modified: bool },
    PcapNg { big: bool },
}

/// Reads captures.
#[derive(Debug)]
pub(crate) struct Capture {
    name: String,
    hosts: Hosts,
    kind: Kind,
    interfaces: Vec<Interface>,
}

/// What a step through the file came to.
enum Step {
    /// A block of so many bytes that is no packet.
    Other(usize),
    /// A packet: the bytes of the block, its interface, its time, what was captured.
    Packet(usize, usize, Micros, std::ops::Range<usize>),
    /// More bytes are needed.
    More,
    /// It is no block.
    Broken,
}

impl Capture {
    pub(crate) const fn new(name: String, hosts: Hosts) -> Self {
        Self { name, hosts, kind: Kind::Unknown, interfaces: Vec::new() }
    }

    fn step(&mut self, bytes: &[u8]) -> Step {
        match self.kind {
            Kind::Unknown => self.begin(bytes),
            Kind::Pcap { big, modified } => {
                let parsed = match (modified, big) {
                    (true, _) => pcap_parser::pcap::parse_pcap_frame_modified(bytes),
                    (false, true) => pcap_parser::parse_pcap_frame_be(bytes),
                    (false, false) => pcap_parser::parse_pcap_frame(bytes),
                };
                match parsed {
                    Ok((rest, block)) => {
                        let len = bytes.len() - rest.len();
                        let resolution = self.interfaces.first().map_or(1_000_000, |i| i.resolution);
                        let time = moment(u64::from(block.ts_sec), u64::from(block.ts_usec), resolution);
                        Step::Packet(len, 0, time, len - block.data.len()..len)
                    }
                    Err(pcap_parser::nom::Err::Incomplete(_)) => Step::More,
                    Err(_) => Step::Broken,
                }
            }
            Kind::PcapNg { big } => self.block(bytes, big),
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> Step {
        if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            return self.block(bytes, false);
        }
        match pcap_parser::parse_pcap_header(bytes) {
            Ok((rest, header)) => {
                self.kind = Kind::Pcap { big: header.is_bigendian(), modified: header.is_modified_format() };
                let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                // the upper bits are flags
                let link = header.network.0 & 0xffff;
                self.interfaces = vec![Interface { link, name: String::new(), resolution, offset: 0 }];
                Step::Other(bytes.len() - rest.len())
            }
            Err(pcap_parser::nom::Err::Incomplete(_)) => Step::More,
            Err(_) => Step::Broken,
        }
    }

    fn block(&mut self, bytes: &[u8], big: bool) -> Step {
        let Some(head) = bytes.first_chunk::<12>() else { return Step::More };
        let is_section = head[..4] == [0x0a, 0x0d, 0x0d, 0x0a];
        let big = if is_section { head[8..12] == [0x1a, 0x2b, 0x3c, 0x4d] } else { big };
        let len: [u8; 4] = [head[4], head[5], head[6], head[7]];
        let len = if big { u32::from_be_bytes(len) } else { u32::from_le_bytes(len) } as usize;
        if !(12..=MAX_BLOCK).contains(&len) || !len.is_multiple_of(4) {
            return Step::Broken;
        }
        let Some(block) = bytes.get(..len) else { return Step::More };
        let parsed =
            if big { pcap_parser::parse_block_be(block) } else { pcap_parser::parse_block_le(block) };
        let Ok((_, parsed)) = parsed else { return Step::Broken };
        match parsed {
            Block::SectionHeader(_) => {
                self.kind = Kind::PcapNg { big };
                self.interfaces.clear();
                Step::Other(len)
            }
            Block::InterfaceDescription(description) => {
                if self.interfaces.len() < MAX_INTERFACES {
                    self.interfaces.push(Interface {
                        link: description.linktype.0,
                        name: description.if_name().and_then(Result::ok).unwrap_or_default().to_owned(),
                        resolution: description.ts_resolution().filter(|r| *r > 0).unwrap_or(1_000_000),
                        offset: description.ts_offset(),
                    });
                }
                Step::Other(len)
            }
            Block::EnhancedPacket(p) => {
                let number = p.if_id as usize;
                let Some(interface) = self.interfaces.get(number) else {
                    return Step::Packet(len, number, Micros(0), 0..0);
                };
                let units = u64::from(p.ts_high) << 32 | u64::from(p.ts_low);
                let (seconds, fraction) = (units / interface.resolution, units % interface.resolution);
                let Micros(time) = moment(seconds, fraction, interface.resolution);
                let time = Micros(time.saturating_add(interface.offset.saturating_mul(1_000_000)));
                let data = p.packet_data();
                // the data of this block begin 28 bytes into it
                Step::Packet(len, number, time, 28..28 + data.len().min(len - 28))
            }
            // has no time: that of the row is 1970, which says so
            Block::SimplePacket(p) => {
                let data = p.packet_data();
                Step::Packet(len, 0, Micros(0), 12..12 + data.len().min(len - 12))
            }
            _ => Step::Other(len),
        }
    }

    /// Adds the row of a packet; false if there is no room.
    fn packet(&self, number: usize, time: Micros, data: &[u8], rows: &mut Rows, tally: &mut Tally) -> bool {
        let Some(interface) = self.interfaces.get(number) else {
            tally.skip(NO_INTERFACE);
            return true;
        };
        let big = matches!(self.kind, Kind::Pcap { big: true, .. } | Kind::PcapNg { big: true });
        let mut event = Event { time, ..Event::default() };
        let swapped;
        let mut names = [String::new(), String::new(), String::new(), String::new()];
        let known = match Linktype(interface.link) {
            Linktype::NFLOG => {
                let data = if big == cfg!(target_endian = "big") {
                    data
                } else {
                    swapped = swap(data);
                    &swapped
                };
                nflog(data, &mut event, &mut names)
            }
            link => frame(link, data, &mut event),
        };
        if known != Known::Packet {
            tally.skip(if known == Known::LinkType { LINK_TYPE } else { NO_PACKET });
            return true;
        }
        [event.in_if, event.out_if, event.phys_in, event.phys_out] =
            [0, 1, 2, 3].map(|i| names[i].as_bytes());
        if event.in_if.is_empty() && event.out_if.is_empty() {
            event.in_if = interface.name.as_bytes();
        }
        if rows.event(&event, PCAP, self.hosts.whose("")).is_err() {
            return false;
        }
        (tally.records, tally.events) = (tally.records + 1, tally.events + 1);
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Packet,
    NoPacket,
    LinkType,
}

/// Seconds and a fraction of so many to a second.
fn moment(seconds: u64, fraction: u64, resolution: u64) -> Micros {
    let micros = u128::from(fraction) * 1_000_000 / u128::from(resolution.max(1));
    let all = u128::from(seconds) * 1_000_000 + micros;
    Micros(i64::try_from(all).unwrap_or(i64::MAX))
}

/// A packet of NFLOG: `nfgenmsg`, then attributes as the kernel's, in the byte order of the machine that wrote them.
fn nflog<'a>(data: &'a [u8], event: &mut Event<'a>, names: &mut [String; 4]) -> Known {
    let message = Message { kind: NFULNL_MSG_PACKET, flags: 0, seq: 0, pid: 0, payload: data };
    let parsed = NflogPacket::parse(&message);
    let Ok(packet) = &parsed else { return Known::NoPacket };
    (event.link, event.headers) = packet.decode();
    event.family = packet.family;
    event.hook = packet.hook;
    event.mark = packet.mark.unwrap_or_default();
    (event.uid, event.gid) = (packet.uid, packet.gid);
    event.prefix = packet.prefix.map(until_nul).unwrap_or_default();
    event.time = packet.timestamp.unwrap_or(event.time);
    let devices = [packet.in_dev, packet.out_dev, packet.phys_in_dev, packet.phys_out_dev];
    for (name, index) in names.iter_mut().zip(devices) {
        if let Some(index) = index {
            *name = index.to_string();
        }
    }
    Known::Packet
}

/// The same with the heads of the attributes in this machine's byte order; what they hold is big endian anyway.
fn swap(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut at = 4;
    while let Some([a, b, c, d]) = data.get_mut(at..at + 4).and_then(|h| h.first_chunk_mut::<4>()) {
        let bytes = [*a, *b];
        let len =
            if cfg!(target_endian = "big") { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        std::mem::swap(a, b);
        std::mem::swap(c, d);
        if len < 4 {
            break;
        }
        at += usize::from(len).next_multiple_of(4);
    }
    data
}

/// A frame of another link type, without anything of a firewall.
fn frame(link: Linktype, data: &[u8], event: &mut Event<'_>) -> Known {
    const PF_INET: [u32; 1] = [2];
    // BSDs and Linux number the family of IPv6 differently
    const PF_INET6: [u32; 4] = [10, 24, 28, 30];
    let network = |ether_type: u16, rest: &[u8]| {
        let (vlan, ether_type, rest) = packet::vlan_tags(ether_type, rest);
        let headers = ether_type.map(|t| packet::network(t, rest)).unwrap_or_default();
        (headers, Link { ether_type, vlan, ..Link::default() })
    };
    let raw = |bytes: &[u8]| match bytes.first().map(|b| b >> 4) {
        Some(4) => network(ETHER_IPV4, bytes),
        Some(6) => network(ETHER_IPV6, bytes),
        _ => (Headers::default(), Link::default()),
    };
    let be16 = |at: usize| data.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b));
    let mac = |at: usize| data.get(at..)?.first_chunk().copied().map(Mac::new);
    (event.headers, event.link) = match link {
        Linktype::ETHERNET => {
            let frame = packet::ethernet(data);
            let headers = frame.ether_type.map(|t| packet::network(t, frame.payload)).unwrap_or_default();
            (
                headers,
                Link {
                    mac_src: frame.src,
                    mac_dst: frame.dst,
                    ether_type: frame.ether_type,
                    vlan: frame.vlan,
                },
            )
        }
        // Linux cooked: packet type, ARPHRD, address length, address, EtherType
        Linktype(113) => {
            let (headers, mut link) =
                network(be16(14).unwrap_or_default(), data.get(16..).unwrap_or_default());
            link.mac_src = if be16(4) == Some(6) { mac(6) } else { None };
            (headers, link)
        }
        // version 2: EtherType, reserved, interface, ARPHRD, packet type, address length, address
        Linktype(276) => {
            let (headers, mut link) =
                network(be16(0).unwrap_or_default(), data.get(20..).unwrap_or_default());
            link.mac_src = if data.get(11) == Some(&6) { mac(12) } else { None };
            (headers, link)
        }
        Linktype::RAW | Linktype(12 | 14 | 228 | 229) => raw(data),
        // null and loop: a family in the writer's byte order, or big endian
        Linktype::NULL | Linktype(108) => {
            let Some(word) = data.first_chunk::<4>() else { return Known::NoPacket };
            let families = [u32::from_le_bytes(*word), u32::from_be_bytes(*word)];
            if families.iter().any(|f| PF_INET.contains(f)) {
                network(ETHER_IPV4, &data[4..])
            } else if families.iter().any(|f| PF_INET6.contains(f)) {
                network(ETHER_IPV6, &data[4..])
            } else {
                return Known::NoPacket;
            }
        }
        _ => return Known::LinkType,
    };
    event.family = match event.link.ether_type {
        Some(ETHER_IPV4) => bartizan_decode::nflog::NFPROTO_IPV4,
        Some(ETHER_IPV6) => bartizan_decode::nflog::NFPROTO_IPV6,
        Some(packet::ETHER_ARP | packet::ETHER_RARP) => bartizan_decode::nflog::NFPROTO_ARP,
        Some(_) => bartizan_decode::nflog::NFPROTO_BRIDGE,
        None => return Known::NoPacket,
    };
    Known::Packet
}

impl Reader for Capture {
    fn restart(&mut self) {
        self.kind = Kind::Unknown;
        self.interfaces.clear();
    }

    fn pass(&mut self, content: &mut Content, position: u64) -> bool {
        while content.position() < position {
            match self.step(content.window()) {
                Step::Other(len) | Step::Packet(len, ..) => content.consume(len),
                Step::More if content.window().len() <= MAX_BLOCK && content.more() => {}
                Step::More | Step::Broken => return content.skip(position - content.position()),
            }
        }
        content.position() == position
    }

    fn piece(
        &mut self,
        content: &mut Content,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError> {
        let mut records = 0;
        while records < PIECE && content.position() < until {
            match self.step(content.window()) {
                Step::Other(len) => content.consume(len),
                Step::Packet(len, interface, time, data) => {
                    if !self.packet(interface, time, &content.window()[data], rows, tally) {
                        return Ok(Read::Full(content.position()));
                    }
                    content.consume(len);
                    records += 1;
                    if self.hosts.take_missing() {
                        return Err(SourceError::NoHost {
                            record: format!("a capture such as {}", self.name),
                        });
                    }
                }
                Step::More if content.window().len() <= MAX_BLOCK && content.more() => {}
                Step::More if content.window().is_empty() => return Ok(Read::End(content.position())),
                Step::More | Step::Broken => {
                    let at = content.position();
                    tally.unreadable.push(format!("{} is cut or damaged at byte {at}", self.name));
                    return Ok(Read::End(at));
                }
            }
        }
        Ok(Read::More(content.position()))
    }
}

#[cfg(test)]
mod tests;
