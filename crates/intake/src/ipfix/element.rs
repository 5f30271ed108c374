//! Information elements: the numbers of IANA (<https://www.iana.org/assignments/ipfix>) that are read here. v9 has those
//! under 128 with the same meaning.

/// Whose a number is that is not IANA's.
pub(super) const REVERSE: u32 = 29305;
/// The netfilter project, in what ulogd2 exports.
pub(super) const NETFILTER: u32 = 21373;

macro_rules! elements {
    ($($name:ident $number:literal $word:literal,)* ; $($other:literal $other_word:literal,)*) => {
        $(pub(super) const $name: u16 = $number;)*

        /// Its name.
        pub(super) fn name(number: u16) -> Option<&'static str> {
            Some(match number {
                $($number => $word,)*
                $($other => $other_word,)*
                _ => return None,
            })
        }
    };
}

elements! {
    OCTETS 1 "octetDeltaCount",
    PACKETS 2 "packetDeltaCount",
    PROTOCOL 4 "protocolIdentifier",
    TOS 5 "ipClassOfService",
    TCP_FLAGS 6 "tcpControlBits",
    SOURCE_PORT 7 "sourceTransportPort",
    SOURCE4 8 "sourceIPv4Address",
    INGRESS 10 "ingressInterface",
    DESTINATION_PORT 11 "destinationTransportPort",
    DESTINATION4 12 "destinationIPv4Address",
    EGRESS 14 "egressInterface",
    END_UP 21 "flowEndSysUpTime",
    START_UP 22 "flowStartSysUpTime",
    SOURCE6 27 "sourceIPv6Address",
    DESTINATION6 28 "destinationIPv6Address",
    ICMP4 32 "icmpTypeCodeIPv4",
    SAMPLING 34 "samplingInterval",
    SAMPLER_INTERVAL 50 "samplerRandomInterval",
    SOURCE_MAC 56 "sourceMacAddress",
    POST_DESTINATION_MAC 57 "postDestinationMacAddress",
    IP_VERSION 60 "ipVersion",
    DESTINATION_MAC 80 "destinationMacAddress",
    POST_SOURCE_MAC 81 "postSourceMacAddress",
    TOTAL_OCTETS 85 "octetTotalCount",
    TOTAL_PACKETS 86 "packetTotalCount",
    END_REASON 136 "flowEndReason",
    ICMP6 139 "icmpTypeCodeIPv6",
    FLOW_ID 148 "flowId",
    START_SECONDS 150 "flowStartSeconds",
    END_SECONDS 151 "flowEndSeconds",
    START_MILLIS 152 "flowStartMilliseconds",
    END_MILLIS 153 "flowEndMilliseconds",
    START_MICROS 154 "flowStartMicroseconds",
    END_MICROS 155 "flowEndMicroseconds",
    START_NANOS 156 "flowStartNanoseconds",
    END_NANOS 157 "flowEndNanoseconds",
    START_DELTA 158 "flowStartDeltaMicroseconds",
    END_DELTA 159 "flowEndDeltaMicroseconds",
    BOOT 160 "systemInitTimeMilliseconds",
    DURATION_MILLIS 161 "flowDurationMilliseconds",
    DURATION_MICROS 162 "flowDurationMicroseconds",
    ICMP4_TYPE 176 "icmpTypeIPv4",
    ICMP4_CODE 177 "icmpCodeIPv4",
    ICMP6_TYPE 178 "icmpTypeIPv6",
    ICMP6_CODE 179 "icmpCodeIPv6",
    UDP_SOURCE 180 "udpSourcePort",
    UDP_DESTINATION 181 "udpDestinationPort",
    TCP_SOURCE 182 "tcpSourcePort",
    TCP_DESTINATION 183 "tcpDestinationPort",
    PADDING 210 "paddingOctets",
    NAT_SOURCE4 225 "postNATSourceIPv4Address",
    NAT_DESTINATION4 226 "postNATDestinationIPv4Address",
    NAT_SOURCE_PORT 227 "postNAPTSourceTransportPort",
    NAT_DESTINATION_PORT 228 "postNAPTDestinationTransportPort",
    NAT_EVENT 230 "natEvent",
    INITIATOR_OCTETS 231 "initiatorOctets",
    RESPONDER_OCTETS 232 "responderOctets",
    FIREWALL_EVENT 233 "firewallEvent",
    NAT_SOURCE6 281 "postNATSourceIPv6Address",
    NAT_DESTINATION6 282 "postNATDestinationIPv6Address",
    INITIATOR_PACKETS 298 "initiatorPackets",
    RESPONDER_PACKETS 299 "responderPackets",
    SAMPLING_PACKETS 305 "samplingPacketInterval",
    SAMPLING_SPACE 306 "samplingPacketSpace",
    EVENT_MILLIS 323 "observationTimeMilliseconds",
    ;
    31 "flowLabelIPv6",
    52 "minimumTTL",
    53 "maximumTTL",
    58 "vlanId",
    61 "flowDirection",
    95 "applicationId",
    234 "ingressVRFID",
    235 "egressVRFID",
}
