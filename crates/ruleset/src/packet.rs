//! What the columns of an event tell of its packet, as conditions ask for it.

use crate::model::{Key, name_value};
use crate::{nft, symbols};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, DictionaryArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch};
use bartizan_model::is_v4_mapped;

/// What a key has for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Value(u128),
    /// The packet has no such thing: a condition on it does not hold, negated or not.
    Nothing,
    Unknown,
}

/// The network protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    V4,
    V6,
    Arp,
    Other,
    #[default]
    Unknown,
}

/// The family words of events.
pub(crate) const FAMILIES: [&str; 6] = ["ip", "ip6", "arp", "bridge", "netdev", "inet"];

/// One packet. Without columns nothing is known but its family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) network: Network,
    /// The chain's family is not that of the packet: bridge, netdev, inet at its ingress.
    of_link: bool,
    /// The columns say everything that they can: what is missing is not there.
    whole: bool,
    /// It was captured by NFLOG, which tells the socket's owner whenever there is one.
    nflog: bool,
    in_if: Option<u128>,
    out_if: Option<u128>,
    phys_in: Option<u128>,
    phys_out: Option<u128>,
    /// A name could not be found out; a number stands in its place.
    nameless: bool,
    src: Option<u128>,
    dst: Option<u128>,
    proto: Option<i16>,
    sport: Option<i32>,
    dport: Option<i32>,
    tcp_flags: Option<i16>,
    icmp_type: Option<i16>,
    icmp_code: Option<i16>,
    ttl: Option<i16>,
    tos: Option<i16>,
    length: Option<i32>,
    ip_id: Option<i64>,
    frag: Option<i32>,
    mark: Option<i64>,
    uid: Option<i64>,
    gid: Option<i64>,
    ct_state: Option<u128>,
    mac_src: Option<u128>,
    mac_dst: Option<u128>,
    ether_type: Option<i32>,
    vlan: Option<i32>,
}

fn number<T: TryInto<u128>>(value: Option<T>) -> Got {
    value.and_then(|v| v.try_into().ok()).map_or(Got::Unknown, Got::Value)
}

impl Packet {
    /// A packet of a family, of which nothing else is known.
    pub(crate) fn of_family(family: &str) -> Self {
        let network = match family {
            "ip" => Network::V4,
            "ip6" => Network::V6,
            "arp" => Network::Arp,
            _ => Network::Unknown,
        };
        Self { network, of_link: network == Network::Unknown, ..Self::default() }
    }

    /// What a condition on `key` finds.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Got {
        match key {
            Key::InIf => self.interface(self.in_if),
            Key::OutIf => self.interface(self.out_if),
            // The kernel's own log has ports of a bridge where NFLOG has the bridge.
            Key::InBridge | Key::OutBridge | Key::PhysIn | Key::PhysOut if !self.nflog => Got::Unknown,
            Key::InBridge => self.interface(self.in_if),
            Key::OutBridge => self.interface(self.out_if),
            Key::PhysIn => self.interface(self.phys_in),
            Key::PhysOut => self.interface(self.phys_out),
            Key::Src4 => self.of(Network::V4, number(self.src)),
            Key::Dst4 => self.of(Network::V4, number(self.dst)),
            Key::Src6 => self.of(Network::V6, number(self.src)),
            Key::Dst6 => self.of(Network::V6, number(self.dst)),
            Key::Proto => match self.network {
                Network::Arp | Network::Other => Got::Nothing,
                _ => number(self.proto),
            },
            Key::Proto4 => self.of(Network::V4, number(self.proto)),
            // The column tells the protocol behind extension headers, the header's field the first of them.
            Key::NextHeader => self.of(Network::V6, Got::Unknown),
            Key::EtherType => self.ether_type(),
            Key::NfProto => match self.network {
                // Of the chain, and not of the packet, where those are not the same.
                _ if self.of_link => Got::Unknown,
                Network::V4 => Got::Value(2),
                Network::V6 => Got::Value(10),
                Network::Arp => Got::Value(3),
                _ => Got::Unknown,
            },
            Key::Sport(proto) => self.port(proto, self.sport),
            Key::Dport(proto) => self.port(proto, self.dport),
            Key::TcpFlags => match self.transport(6) {
                Got::Value(_) => number(self.tcp_flags.map(|f| f & 0xff)),
                other => other,
            },
            Key::IcmpType => self.of(Network::V4, self.icmp(1, self.icmp_type)),
            Key::IcmpCode => self.of(Network::V4, self.icmp(1, self.icmp_code)),
            Key::Icmp6Type => self.icmp(58, self.icmp_type),
            Key::Icmp6Code => self.icmp(58, self.icmp_code),
            Key::Ttl4 => self.of(Network::V4, number(self.ttl)),
            Key::Ttl6 => self.of(Network::V6, number(self.ttl)),
            Key::Dscp4 => self.of(Network::V4, number(self.tos.map(|t| t >> 2))),
            Key::Dscp6 => self.of(Network::V6, number(self.tos.map(|t| t >> 2))),
            Key::Tos => number(self.tos),
            Key::Length4 => self.of(Network::V4, number(self.length)),
            Key::Id4 => self.of(Network::V4, number(self.ip_id)),
            Key::Frag4 => self.of(Network::V4, self.fragment()),
            Key::Version => match self.network {
                Network::V4 => Got::Value(4),
                Network::V6 => Got::Value(6),
                _ => Got::Unknown,
            },
            Key::Mark if self.whole => {
                Got::Value(self.mark.and_then(|m| m.try_into().ok()).unwrap_or_default())
            }
            Key::Mark => number(self.mark),
            Key::Uid => self.owner(self.uid),
            Key::Gid => self.owner(self.gid),
            Key::CtState => number(self.ct_state),
            Key::MacSrc => number(self.mac_src),
            Key::MacDst => number(self.mac_dst),
            Key::Vlan => number(self.vlan),
            Key::ArpOperation => self.of(Network::Arp, number(self.icmp_type)),
            Key::ArpSrc => self.of(Network::Arp, number(self.src)),
            Key::ArpDst => self.of(Network::Arp, number(self.dst)),
        }
    }

    /// The same packet, of which only what stands in front of a tag is known.
    fn without_contents(self) -> Self {
        Self {
            src: None,
            dst: None,
            proto: None,
            sport: None,
            dport: None,
            tcp_flags: None,
            icmp_type: None,
            icmp_code: None,
            ttl: None,
            tos: None,
            length: None,
            ip_id: None,
            frag: None,
            ..self
        }
    }

    /// A packet without a device has the empty name there.
    fn interface(&self, name: Option<u128>) -> Got {
        match name {
            Some(name) => Got::Value(name),
            None if self.whole && !self.nameless => Got::Value(0),
            None => Got::Unknown,
        }
    }

    /// What only packets of one network protocol have.
    fn of(&self, network: Network, got: Got) -> Got {
        match self.network {
            n if n == network => got,
            Network::Unknown => Got::Unknown,
            _ => Got::Nothing,
        }
    }

    /// Whether the packet is of a transport protocol and carries its header.
    fn transport(&self, proto: i16) -> Got {
        match self.proto {
            Some(p) if p == proto => {
                if self.frag.is_some_and(|f| f & 0x1fff != 0) {
                    Got::Nothing
                } else {
                    Got::Value(0)
                }
            }
            Some(_) => Got::Nothing,
            None => match self.network {
                Network::Arp | Network::Other => Got::Nothing,
                _ => Got::Unknown,
            },
        }
    }

    fn port(&self, proto: u8, port: Option<i32>) -> Got {
        if proto != 0 {
            return match self.transport(i16::from(proto)) {
                Got::Value(_) => number(port),
                other => other,
            };
        }
        // The bytes where ports would be; without ports it is something else that stands there.
        number(port)
    }

    fn icmp(&self, proto: i16, value: Option<i16>) -> Got {
        match self.transport(proto) {
            Got::Value(_) => number(value),
            other => other,
        }
    }

    fn ether_type(&self) -> Got {
        match (self.network, self.ether_type, self.vlan) {
            // Whether the tag still stands in the packet is not known.
            (_, _, Some(_)) => Got::Unknown,
            (Network::V4, ..) => Got::Value(0x0800),
            (Network::V6, ..) => Got::Value(0x86dd),
            (Network::Arp, ..) => Got::Value(0x0806),
            (_, ether_type, None) => number(ether_type),
        }
    }

    /// The column has no value for a fragment field of 0.
    fn fragment(&self) -> Got {
        match self.frag {
            None if self.whole && self.src.is_some() => Got::Value(0),
            frag => number(frag),
        }
    }

    fn owner(&self, id: Option<i64>) -> Got {
        match id {
            None if self.whole && self.nflog => Got::Nothing,
            id => number(id),
        }
    }
}

type Names<'a> = (&'a DictionaryArray<Int32Type>, Vec<Option<u128>>);

/// The columns of a batch that conditions ask for.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    in_if: Option<Names<'a>>,
    out_if: Option<Names<'a>>,
    phys_in: Option<Names<'a>>,
    phys_out: Option<Names<'a>>,
    mac_src: Option<Names<'a>>,
    mac_dst: Option<Names<'a>>,
    ct_state: Option<Names<'a>>,
    family: Option<Names<'a>>,
    nflog: Option<Names<'a>>,
    raw: Option<&'a dyn Array>,
    src: Option<&'a FixedSizeBinaryArray>,
    dst: Option<&'a FixedSizeBinaryArray>,
    proto: Option<&'a PrimitiveArray<Int16Type>>,
    sport: Option<&'a PrimitiveArray<Int32Type>>,
    dport: Option<&'a PrimitiveArray<Int32Type>>,
    tcp_flags: Option<&'a PrimitiveArray<Int16Type>>,
    icmp_type: Option<&'a PrimitiveArray<Int16Type>>,
    icmp_code: Option<&'a PrimitiveArray<Int16Type>>,
    ttl: Option<&'a PrimitiveArray<Int16Type>>,
    tos: Option<&'a PrimitiveArray<Int16Type>>,
    length: Option<&'a PrimitiveArray<Int32Type>>,
    ip_id: Option<&'a PrimitiveArray<Int64Type>>,
    frag: Option<&'a PrimitiveArray<Int32Type>>,
    mark: Option<&'a PrimitiveArray<Int64Type>>,
    uid: Option<&'a PrimitiveArray<Int64Type>>,
    gid: Option<&'a PrimitiveArray<Int64Type>>,
    ether_type: Option<&'a PrimitiveArray<Int32Type>>,
    vlan: Option<&'a PrimitiveArray<Int32Type>>,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        let column = |name: &str| batch.column_by_name(name).map(|c| c.as_ref());
        let names = |name: &str, value: fn(&str) -> Option<u128>| {
            let array = column(name)?.as_dictionary_opt::<Int32Type>()?;
            let texts = array.values().as_string_opt::<i32>()?;
            Some((array, texts.iter().map(|text| value(text?)).collect()))
        };
        let i16s = |name: &str| column(name)?.as_primitive_opt::<Int16Type>();
        let i32s = |name: &str| column(name)?.as_primitive_opt::<Int32Type>();
        let i64s = |name: &str| column(name)?.as_primitive_opt::<Int64Type>();
        let address =
            |name: &str| column(name)?.as_fixed_size_binary_opt().filter(|a| a.value_length() == 16);
        // An interface whose name nobody could tell stands there as a number.
        let interface = |name: &str| (!name.bytes().all(|b| b.is_ascii_digit())).then(|| name_value(name));
        let family = |word: &str| FAMILIES.iter().position(|f| *f == word).map(|n| n as u128);
        Self {
            in_if: names("in_if", interface),
            out_if: names("out_if", interface),
            phys_in: names("phys_in", interface),
            phys_out: names("phys_out", interface),
            mac_src: names("mac_src", nft::mac),
            mac_dst: names("mac_dst", nft::mac),
            ct_state: names("ct_state", symbols::ct_state),
            family: names("family", family),
            nflog: names("source", |word| Some(u128::from(word == "nflog"))),
            raw: column("raw"),
            src: address("src"),
            dst: address("dst"),
            proto: i16s("proto"),
            sport: i32s("sport"),
            dport: i32s("dport"),
            tcp_flags: i16s("tcp_flags"),
            icmp_type: i16s("icmp_type"),
            icmp_code: i16s("icmp_code"),
            ttl: i16s("ttl"),
            tos: i16s("tos"),
            length: i32s("length"),
            ip_id: i64s("ip_id"),
            frag: i32s("frag"),
            mark: i64s("mark"),
            uid: i64s("uid"),
            gid: i64s("gid"),
            ether_type: i32s("ether_type"),
            vlan: i32s("vlan"),
        }
    }

    /// The packet of a row.
    pub(crate) fn packet(&self, row: usize) -> Packet {
        let ether_type = at(self.ether_type, row);
        let mut nameless = false;
        let mut interface = |column: &Option<Names<'_>>| {
            let name = named(column, row);
            nameless |= name == Some(None);
            name.flatten()
        };
        let (in_if, out_if) = (interface(&self.in_if), interface(&self.out_if));
        let (phys_in, phys_out) = (interface(&self.phys_in), interface(&self.phys_out));
        let (src, src4) = address(self.src, row);
        let (dst, _) = address(self.dst, row);
        let (family, vlan) = (named(&self.family, row).flatten(), at(self.vlan, row));
        let of_link = family.is_none_or(|f| f > 2);
        // Behind a tag that still stands in the packet the kernel finds no IP packet. Whether it does stand
        // there, no column tells.
        let tagged = of_link && vlan.is_some();
        let network = match (family, ether_type, src4) {
            _ if tagged => Network::Unknown,
            (Some(0), ..) => Network::V4,
            (Some(1), ..) => Network::V6,
            (Some(2), ..) => Network::Arp,
            (_, Some(0x0800), _) => Network::V4,
            (_, Some(0x86dd), _) => Network::V6,
            (_, Some(0x0806), _) => Network::Arp,
            (_, Some(_), _) => Network::Other,
            // Without an EtherType an address is that of an IP packet, unless it might be ARP's.
            (_, None, Some(false)) => Network::V6,
            (_, None, _) => Network::Unknown,
        };
        let packet = Packet {
            network,
            of_link,
            whole: self.raw.is_none_or(|raw| raw.is_null(row)),
            nflog: named(&self.nflog, row).flatten() == Some(1),
            in_if,
            out_if,
            phys_in,
            phys_out,
            nameless,
            src,
            dst,
            proto: at(self.proto, row),
            sport: at(self.sport, row),
            dport: at(self.dport, row),
            tcp_flags: at(self.tcp_flags, row),
            icmp_type: at(self.icmp_type, row),
            icmp_code: at(self.icmp_code, row),
            ttl: at(self.ttl, row),
            tos: at(self.tos, row),
            length: at(self.length, row),
            ip_id: at(self.ip_id, row),
            frag: at(self.frag, row),
            mark: at(self.mark, row),
            uid: at(self.uid, row),
            gid: at(self.gid, row),
            ct_state: named(&self.ct_state, row).flatten(),
            mac_src: named(&self.mac_src, row).flatten(),
            mac_dst: named(&self.mac_dst, row).flatten(),
            ether_type,
            vlan,
        };
        if tagged { packet.without_contents() } else { packet }
    }
}

fn at<P: arrow_array::ArrowPrimitiveType>(
    column: Option<&PrimitiveArray<P>>,
    row: usize,
) -> Option<P::Native> {
    column.filter(|c| c.is_valid(row)).map(|c| c.value(row))
}

/// `Some(None)`: there is a text, and it is no value.
fn named(column: &Option<Names<'_>>, row: usize) -> Option<Option<u128>> {
    let (array, values) = column.as_ref()?;
    let key = usize::try_from(at(Some(array.keys()), row)?).ok()?;
    Some(values.get(key).copied().flatten())
}

/// The address as a number of its family, and whether it is an IPv4 one.
fn address(column: Option<&FixedSizeBinaryArray>, row: usize) -> (Option<u128>, Option<bool>) {
    let bytes = column.filter(|c| c.is_valid(row)).and_then(|c| <&[u8; 16]>::try_from(c.value(row)).ok());
    let Some(bytes) = bytes else { return (None, None) };
    let v4 = is_v4_mapped(bytes);
    let value = u128::from_be_bytes(*bytes);
    (Some(if v4 { value & 0xffff_ffff } else { value }), Some(v4))
}
