use super::{ETHER_ARP, ETHER_IPV4, ETHER_IPV6, ETHER_RARP, Fields, Headers, Mac, Upper, be16, ipv4, ipv6};
use bartizan_model::addr_from_v4;

/// The smallest EtherType; smaller values are lengths (IEEE 802.3) or the kernel's own pseudo types.
const SMALLEST_ETHER_TYPE: u16 = 0x0600;

/// An Ethernet frame (IEEE 802.3), as far as captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Destination address.
    pub dst: Option<Mac>,
    /// Source address.
    pub src: Option<Mac>,
    /// EtherType after the VLAN tags; `None` for a frame with a length instead.
    pub ether_type: Option<u16>,
    /// VLAN id of the outermost tag.
    pub vlan: Option<u16>,
    /// What the frame carries, after the VLAN tags.
    pub payload: &'a [u8],
}

/// A frame from its destination address on.
#[must_use]
#[inline]
pub fn ethernet(bytes: &[u8]) -> Frame<'_> {
    if let Some((h, payload)) = bytes.split_first_chunk::<14>() {
        let ether_type = u16::from_be_bytes([h[12], h[13]]);
        let (vlan, ether_type, payload) = vlan_tags(ether_type, payload);
        return Frame {
            dst: Some(Mac::new([h[0], h[1], h[2], h[3], h[4], h[5]])),
            src: Some(Mac::new([h[6], h[7], h[8], h[9], h[10], h[11]])),
            ether_type,
            vlan,
            payload,
        };
    }
    Frame {
        dst: bytes.first_chunk().copied().map(Mac::new),
        src: bytes.get(6..).and_then(|b| b.first_chunk()).copied().map(Mac::new),
        ..Frame::default()
    }
}

/// Whether an EtherType is that of a VLAN tag: 802.1Q, 802.1ad, or the older 0x9100 of stacked tags.
#[must_use]
#[inline]
pub const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}

/// Steps over the VLAN tags of bytes that follow an EtherType: the id of the first tag, the EtherType after
/// the last, and what follows it. `None` for an EtherType that is cut off or is a length.
#[must_use]
#[inline]
pub fn vlan_tags(mut ether_type: u16, mut bytes: &[u8]) -> (Option<u16>, Option<u16>, &[u8]) {
    let mut outer = None;
    while is_vlan(ether_type) {
        outer = outer.or(be16(bytes, 0).map(|tci| tci & 0x0fff));
        let Some(next) = be16(bytes, 2) else { return (outer, None, &[]) };
        ether_type = next;
        bytes = &bytes[4..];
    }
    (outer, Some(ether_type).filter(|t| *t >= SMALLEST_ETHER_TYPE), bytes)
}

/// The packet that an EtherType names; empty headers for one that is not read.
#[must_use]
pub fn network(ether_type: u16, bytes: &[u8]) -> Headers {
    let mut headers = Headers::default();
    read_network(ether_type, bytes, &mut headers);
    headers
}

pub(crate) fn read_network(ether_type: u16, bytes: &[u8], out: &mut impl Fields) {
    match ether_type {
        ETHER_IPV4 => ipv4::read(bytes, out),
        ETHER_IPV6 => ipv6::read(bytes, out),
        ETHER_ARP | ETHER_RARP => read_arp(bytes, out),
        _ => {}
    }
}

/// An ARP packet (RFC 826): its operation, and its protocol addresses when they are IPv4.
#[must_use]
pub fn arp(bytes: &[u8]) -> Headers {
    let mut headers = Headers::default();
    read_arp(bytes, &mut headers);
    headers
}

pub(crate) fn read_arp(bytes: &[u8], out: &mut impl Fields) {
    let Some(operation) = be16(bytes, 6) else { return };
    out.upper(&Upper::Arp(operation));
    let (hardware, protocol) = (usize::from(bytes[4]), usize::from(bytes[5]));
    if be16(bytes, 2) != Some(ETHER_IPV4) || protocol != 4 {
        return;
    }
    let address = |at: usize| bytes.get(at..)?.first_chunk().map(|a| addr_from_v4(*a));
    if let Some(src) = address(8 + hardware) {
        out.src(src);
    }
    if let Some(dst) = address(8 + hardware + 4 + hardware) {
        out.dst(dst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARP: &[u8] =
        &[0, 1, 8, 0, 6, 4, 0, 2, 1, 1, 1, 1, 1, 1, 10, 0, 0, 1, 2, 2, 2, 2, 2, 2, 10, 0, 0, 2];

    fn frame(types: &[u16], rest: &[u8]) -> Vec<u8> {
        let mut f = vec![0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb];
        for t in types {
            f.extend(t.to_be_bytes());
        }
        f.extend(rest);
        f
    }

    #[test]
    fn reads_a_plain_frame() {
        let bytes = frame(&[0x0806], ARP);
        let f = ethernet(&bytes);
        assert_eq!((f.dst, f.src), (Some(Mac::new([0xaa; 6])), Some(Mac::new([0xbb; 6]))));
        assert_eq!((f.ether_type, f.vlan, f.payload), (Some(0x0806), None, ARP));
    }

    #[test]
    fn stacked_tags_give_the_outer_id_and_the_inner_type() {
        let bytes = frame(&[0x88a8, 0xe00a, 0x8100, 0x2014, 0x86dd], b"x");
        let f = ethernet(&bytes);
        assert_eq!((f.ether_type, f.vlan, f.payload), (Some(0x86dd), Some(10), &b"x"[..]));
        assert_eq!(ethernet(&bytes[..16]).vlan, Some(10));
        assert_eq!(ethernet(&bytes[..17]).ether_type, None);
        assert_eq!(ethernet(&bytes[..15]).vlan, None);
    }

    #[test]
    fn a_length_is_not_a_type_and_a_cut_frame_keeps_its_addresses() {
        assert_eq!(ethernet(&frame(&[38], b"llc")).ether_type, None);
        let bytes = frame(&[], &[]);
        assert_eq!(ethernet(&bytes[..11]), Frame { dst: Some(Mac::new([0xaa; 6])), ..Frame::default() });
        assert_eq!(ethernet(&bytes[..5]), Frame::default());
    }

    #[test]
    fn arp_reads_operation_and_addresses() {
        let h = arp(ARP);
        assert_eq!(h.upper, Upper::Arp(2));
        assert_eq!((h.src, h.dst), (Some(addr_from_v4([10, 0, 0, 1])), Some(addr_from_v4([10, 0, 0, 2]))));
        assert_eq!((h.proto, h.length), (None, None));
        let cut = arp(&ARP[..27]);
        assert_eq!((cut.src.is_some(), cut.dst), (true, None));
        assert_eq!(arp(&ARP[..7]), Headers::default());
        let mut other = ARP.to_vec();
        other[2] = 0x86;
        assert_eq!((arp(&other).src, arp(&other).upper), (None, Upper::Arp(2)));
    }
}
