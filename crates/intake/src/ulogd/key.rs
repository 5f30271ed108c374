use std::collections::HashMap;
use std::sync::LazyLock;

/// Makes the keys, the name of each, and the way from every name back to it.
macro_rules! keys {
    ($($key:ident $name:literal $($other:literal)*,)*) => {
        /// A key of ulogd's records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is named as ulogd names it")]
        pub enum Key { $($key,)* }

        impl Key {
            /// Every key.
            pub const ALL: &[Self] = &[$(Self::$key,)*];

            /// Its name in ulogd's records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => $name,)* }
            }
        }

        const NAMES: &[(&str, Key)] = &[$(($name, Key::$key), $(($other, Key::$key),)*)*];
    };
}

// The order is that of `extra`. Names are those of the keys in ulogd, then those in JSON (CIM) and those of columns whose
// name is not the key with `_` for `.`.
keys! {
    Timestamp "timestamp" "@timestamp",
    Version "@version",
    Device "dvc",
    PacketLength "raw.pktlen",
    PacketCount "raw.pktcount",
    Prefix "oob.prefix",
    Seconds "oob.time.sec",
    Microseconds "oob.time.usec",
    Mark "oob.mark",
    InIndex "oob.ifindex_in",
    OutIndex "oob.ifindex_out",
    Hook "oob.hook",
    MacLength "raw.mac_len",
    LocalSequence "oob.seq.local",
    GlobalSequence "oob.seq.global",
    Family "oob.family",
    Protocol "oob.protocol",
    MacProtocol "mac.protocol",
    Uid "oob.uid",
    Gid "oob.gid",
    Label "raw.label" "label",
    Verdict "action",
    LinkType "raw.type",
    MacAddressLength "raw.mac.addrlen",
    In "oob.in",
    Out "oob.out",
    MacSource "mac.saddr.str" "mac.saddr" "raw.mac.saddr",
    MacDestination "mac.daddr.str" "mac.daddr",
    MacHeader "mac.str" "raw.mac" "raw.header",
    Source "src_ip" "ip.saddr" "ip.saddr.str" "ip.saddr.bin" "ip.hsaddr",
    Destination "dest_ip" "ip.daddr" "ip.daddr.str" "ip.daddr.bin" "ip.hdaddr",
    IpProtocol "ip.protocol",
    Tos "ip.tos",
    Ttl "ip.ttl",
    TotalLength "ip.totlen",
    HeaderLength "ip.ihl",
    IpChecksum "ip.csum",
    IpId "ip.id",
    FragmentOffset "ip.fragoff",
    PayloadLength "ip6.payloadlen",
    TrafficClass "ip6.priority",
    FlowLabel "ip6.flowlabel",
    HopLimit "ip6.hoplimit",
    NextHeader "ip6.nexthdr",
    FragmentOffset6 "ip6.fragoff",
    FragmentId "ip6.fragid",
    SourcePort "src_port",
    DestinationPort "dest_port",
    TcpSource "tcp.sport",
    TcpDestination "tcp.dport",
    TcpSequence "tcp.seq",
    TcpAcknowledged "tcp.ackseq",
    TcpOffset "tcp.offset",
    TcpReserved "tcp.reserved",
    TcpWindow "tcp.window",
    Urg "tcp.urg",
    UrgentPointer "tcp.urgp",
    Ack "tcp.ack",
    Psh "tcp.psh",
    Rst "tcp.rst",
    Syn "tcp.syn",
    Fin "tcp.fin",
    Reserved1 "tcp.res1",
    Reserved2 "tcp.res2",
    TcpChecksum "tcp.csum",
    UdpSource "udp.sport",
    UdpDestination "udp.dport",
    UdpLength "udp.len",
    UdpChecksum "udp.csum",
    SctpSource "sctp.sport",
    SctpDestination "sctp.dport",
    SctpChecksum "sctp.csum",
    IcmpType "icmp.type",
    IcmpCode "icmp.code",
    EchoId "icmp.echoid",
    EchoSequence "icmp.echoseq",
    Gateway "icmp.gateway",
    FragmentMtu "icmp.fragmtu",
    IcmpChecksum "icmp.csum",
    Icmp6Type "icmpv6.type",
    Icmp6Code "icmpv6.code",
    Echo6Id "icmpv6.echoid",
    Echo6Sequence "icmpv6.echoseq",
    Icmp6Checksum "icmpv6.csum",
    Spi "ahesp.spi",
    ArpHardware "arp.hwtype",
    ArpProtocol "arp.protocoltype",
    ArpOperation "arp.operation",
    ArpSourceMac "arp.shwaddr",
    ArpDestinationMac "arp.dhwaddr",
    ArpSource "arp.saddr.str" "arp.saddr",
    ArpDestination "arp.daddr.str" "arp.daddr",
    FlowSource "orig.ip.saddr.str" "orig.ip.saddr" "orig.ip.saddr.bin" "orig.ip.hsaddr",
    FlowDestination "orig.ip.daddr.str" "orig.ip.daddr" "orig.ip.daddr.bin" "orig.ip.hdaddr",
    FlowProtocol "orig.ip.protocol",
    FlowSourcePort "orig.l4.sport",
    FlowDestinationPort "orig.l4.dport",
    FlowBytes "orig.raw.pktlen" "orig.bytes",
    FlowPackets "orig.raw.pktcount" "orig.packets",
    ReplySource "reply.ip.saddr.str" "reply.ip.saddr" "reply.ip.saddr.bin" "reply.ip.hsaddr",
    ReplyDestination "reply.ip.daddr.str" "reply.ip.daddr" "reply.ip.daddr.bin" "reply.ip.hdaddr",
    ReplyProtocol "reply.ip.protocol",
    ReplySourcePort "reply.l4.sport",
    ReplyDestinationPort "reply.l4.dport",
    ReplyBytes "reply.raw.pktlen" "reply.bytes",
    ReplyPackets "reply.raw.pktcount" "reply.packets",
    FlowMark "ct.mark",
    FlowId "ct.id",
    FlowEvent "ct.event",
    FlowState "state",
    StartSeconds "flow.start.sec",
    StartMicroseconds "flow.start.usec",
    EndSeconds "flow.end.sec",
    EndMicroseconds "flow.end.usec",
    SumName "sum.name",
    SumPackets "sum.pkts",
    SumBytes "sum.bytes",
    LocalTime "local.time",
    LocalHost "local.hostname",
    UserName "nufw.user.name" "username",
    UserId "nufw.user.id" "user.id",
    OsName "nufw.os.name" "client.os",
    OsRelease "nufw.os.rel",
    OsVersion "nufw.os.vers",
    Application "nufw.app.name" "client.app",
}

impl Key {
    /// The key of a name: as in JSON, as ulogd's own, or as a column of its tables, where `_` stands for `.`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::known(name.as_bytes()).map(|(_, key)| key)
    }

    /// The key of a name, and the name as it is kept for good.
    pub(super) fn known(name: &[u8]) -> Option<(&'static [u8], Self)> {
        static ALL: LazyLock<HashMap<Box<[u8]>, Key>> = LazyLock::new(|| {
            let both = |(name, key): &(&str, Key)| {
                [(name.as_bytes().into(), *key), (name.replace('.', "_").into_bytes().into(), *key)]
            };
            NAMES.iter().flat_map(both).collect()
        });
        ALL.get_key_value(name).map(|(name, key)| (&**name, *key))
    }

    pub(super) const fn bit(self) -> u128 {
        1 << self as u32
    }
}

/// A record keeps a bit of each.
const _: () = assert!(Key::ALL.len() <= 128);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_is_of_one_key() {
        let names: BTreeSet<_> = NAMES.iter().map(|(name, _)| name.replace('.', "_")).collect();
        assert_eq!(names.len(), NAMES.len());
    }

    #[test]
    fn names_of_json_of_ulogd_and_of_columns() {
        for (name, key) in [
            ("src_ip", Key::Source),
            ("ip.saddr.str", Key::Source),
            ("ip_saddr_bin", Key::Source),
            ("oob_time_sec", Key::Seconds),
            ("raw_mac", Key::MacHeader),
            ("orig_raw_pktcount", Key::FlowPackets),
            ("orig_packets", Key::FlowPackets),
            ("ct_event", Key::FlowEvent),
            ("@timestamp", Key::Timestamp),
            ("icmpv6_echoseq", Key::Echo6Sequence),
        ] {
            assert_eq!(Key::of(name), Some(key), "{name}");
        }
        assert_eq!((Key::of("id"), Key::of(""), Key::of("oob.prefix ")), (None, None, None));
        for key in Key::ALL {
            assert_eq!(Key::of(key.name()), Some(*key));
        }
    }
}
