//! Netlink messages as the kernel's nfnetlink_log writes them. Also used by the example that measures.
#![allow(dead_code, reason = "each user needs a part of it")]

/// One attribute with its padding.
pub fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut a = Vec::with_capacity(payload.len() + 8);
    a.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
    a.extend(kind.to_ne_bytes());
    a.extend(payload);
    a.resize(a.len().next_multiple_of(4), 0);
    a
}

/// One packet message of a family and a group.
pub fn message(family: u8, group: u16, attrs: &[Vec<u8>]) -> Vec<u8> {
    let len = 20 + attrs.iter().map(Vec::len).sum::<usize>();
    let mut m = Vec::with_capacity(len);
    m.extend(u32::try_from(len).unwrap().to_ne_bytes());
    m.extend(0x0400u16.to_ne_bytes());
    m.extend([0; 10]);
    m.extend([family, 0]);
    m.extend(group.to_be_bytes());
    attrs.iter().for_each(|a| m.extend(a));
    m
}

/// `PACKET_HDR`.
pub fn packet_hdr(hw_protocol: u16, hook: u8) -> Vec<u8> {
    let [a, b] = hw_protocol.to_be_bytes();
    attr(1, &[a, b, hook, 0])
}

pub fn be32(kind: u16, value: u32) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

pub fn be16(kind: u16, value: u16) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

pub fn prefix(text: &str) -> Vec<u8> {
    attr(10, &[text.as_bytes(), b"\0"].concat())
}

pub fn timestamp(secs: u64, micros: u64) -> Vec<u8> {
    attr(3, &[secs.to_be_bytes(), micros.to_be_bytes()].concat())
}

/// `HWADDR`, `HWTYPE`, `HWLEN`, `HWHEADER` of an Ethernet device.
pub fn hardware(dst: [u8; 6], src: [u8; 6], ether_type: u16) -> Vec<u8> {
    let header = [&dst[..], &src, &ether_type.to_be_bytes()].concat();
    [attr(8, &[&[0, 6, 0, 0][..], &src, &[0, 0]].concat()), be16(15, 1), be16(17, 14), attr(16, &header)]
        .concat()
}

/// An IPv4 header without options in front of `body`.
pub fn ipv4(src: [u8; 4], dst: [u8; 4], proto: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
    p.extend(id.to_be_bytes());
    p.extend([0x40, 0, 57, proto, 0x12, 0x34]);
    p.extend(src);
    p.extend(dst);
    p.extend(body);
    p
}

/// An IPv6 header in front of `body`.
pub fn ipv6(src: [u8; 16], dst: [u8; 16], next: u8, body: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    p.extend([next, 58]);
    p.extend(src);
    p.extend(dst);
    p.extend(body);
    p
}

/// A SYN with the options of a usual client: 40 bytes.
pub fn tcp_syn(sport: u16, dport: u16, seq: u32) -> Vec<u8> {
    let mut t = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    t.extend(seq.to_be_bytes());
    t.extend([0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0xab, 0xcd, 0, 0]);
    t.extend([2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7]);
    t
}

pub fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut u = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    u.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    u.extend([0, 0]);
    u.extend(payload);
    u
}

/// An echo request, or with another type and a quoted packet an error.
pub fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0, 0, 1, 0, 2][..], rest].concat()
}

/// What a host's input chain logs to group 5: an Ethernet device, a prefix, a number.
pub fn input(family: u8, prefix_text: &str, seq: u32, payload: &[u8]) -> Vec<u8> {
    let ether_type = if family == 2 { 0x0800 } else { 0x86dd };
    message(
        family,
        5,
        &[
            packet_hdr(ether_type, 1),
            prefix(prefix_text),
            be32(4, 2),
            hardware([0x52, 0x54, 0, 1, 2, 3], [0x52, 0x54, 0, 0xaa, 0xbb, 0xcc], ether_type),
            timestamp(1_760_000_000 + u64::from(seq / 1000), u64::from(seq % 1000) * 1000),
            be32(12, seq),
            attr(9, payload),
        ],
    )
}
