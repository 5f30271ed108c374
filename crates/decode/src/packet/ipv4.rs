use super::{FRAGMENT_OFFSET, Fields, Headers, be16, icmp::Quoted, upper};
use bartizan_model::addr_from_v4;

const HEADER: usize = 20;

/// An IPv4 packet (RFC 791). Bytes that do not start with version 4 give empty headers.
#[must_use]
pub fn ipv4(bytes: &[u8]) -> Headers {
    let mut headers = Headers::default();
    read(bytes, &mut headers);
    headers
}

#[inline(always)]
pub(crate) fn read(bytes: &[u8], out: &mut impl Fields) {
    if let Some((proto, body)) = header(bytes, out) {
        upper::read(proto, body, out);
    }
}

/// The packet quoted in an ICMP error: addresses, protocol and ports only.
pub(super) fn quoted(bytes: &[u8]) -> Quoted {
    let mut headers = Headers::default();
    let body = header(bytes, &mut headers);
    Quoted::new(&headers, body)
}

/// The header. Returns its protocol and the bytes behind it where they are the start of another header.
#[inline(always)]
fn header<'a>(bytes: &'a [u8], out: &mut impl Fields) -> Option<(u8, &'a [u8])> {
    let Some(h) = bytes.first_chunk::<HEADER>() else {
        cut(bytes, out);
        return None;
    };
    if h[0] >> 4 != 4 {
        return None;
    }
    let total = u16::from_be_bytes([h[2], h[3]]);
    let frag = u16::from_be_bytes([h[6], h[7]]);
    out.src(addr_from_v4([h[12], h[13], h[14], h[15]]));
    out.dst(addr_from_v4([h[16], h[17], h[18], h[19]]));
    out.proto(h[9]);
    out.length(u32::from(total));
    out.tos(h[1]);
    out.ttl(h[8]);
    out.id(u32::from(u16::from_be_bytes([h[4], h[5]])));
    out.frag(frag);
    let start = usize::from(h[0] & 0x0f) * 4;
    let end = if total == 0 { bytes.len() } else { bytes.len().min(usize::from(total)) };
    if start < HEADER || frag & FRAGMENT_OFFSET != 0 {
        return None;
    }
    Some((h[9], bytes.get(start..end)?))
}

/// A header of fewer than 20 bytes: the fields that are whole.
#[cold]
fn cut(bytes: &[u8], out: &mut impl Fields) {
    if bytes.first().is_none_or(|b| b >> 4 != 4) {
        return;
    }
    if let Some(tos) = bytes.get(1) {
        out.tos(*tos);
    }
    if let Some(length) = be16(bytes, 2) {
        out.length(u32::from(length));
    }
    if let Some(id) = be16(bytes, 4) {
        out.id(u32::from(id));
    }
    if let Some(frag) = be16(bytes, 6) {
        out.frag(frag);
    }
    if let Some(ttl) = bytes.get(8) {
        out.ttl(*ttl);
    }
    if let Some(proto) = bytes.get(9) {
        out.proto(*proto);
    }
    if let Some(src) = bytes.get(12..).and_then(|b| b.first_chunk()) {
        out.src(addr_from_v4(*src));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ports, Tcp, Upper};
    use super::*;

    /// 192.0.2.1:1025 to 198.51.100.2:53, 2 bytes of options worth of words as asked.
    fn packet(ihl: u8, total: u16, frag: u16, proto: u8) -> Vec<u8> {
        let mut p =
            vec![0x40 | ihl, 0x10, 0, 0, 0xab, 0xcd, 0, 0, 63, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
        p[2..4].copy_from_slice(&total.to_be_bytes());
        p[6..8].copy_from_slice(&frag.to_be_bytes());
        p.resize(usize::from(ihl.max(5)) * 4, 1);
        p.extend([4, 1, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        p
    }

    fn ports(p: &[u8]) -> Option<(u16, u16)> {
        match ipv4(p).upper {
            Upper::Ports(Ports { source, destination }) => Some((source?, destination?)),
            _ => None,
        }
    }

    #[test]
    fn reads_every_field() {
        let h = ipv4(&packet(5, 32, 0x4000, 17));
        assert_eq!(h.src, Some(addr_from_v4([192, 0, 2, 1])));
        assert_eq!(h.dst, Some(addr_from_v4([198, 51, 100, 2])));
        assert_eq!((h.proto, h.length, h.tos, h.ttl), (Some(17), Some(32), Some(0x10), Some(63)));
        assert_eq!((h.id, h.frag), (Some(0xabcd), 0x4000));
        assert_eq!(ports(&packet(5, 32, 0x4000, 17)), Some((1025, 53)));
        for proto in [33, 132, 136] {
            assert_eq!(ports(&packet(5, 32, 0, proto)), Some((1025, 53)), "{proto}");
        }
    }

    #[test]
    fn options_move_the_ports() {
        assert_eq!(ports(&packet(7, 40, 0, 17)), Some((1025, 53)));
        assert_eq!(ports(&packet(15, 72, 0, 17)), Some((1025, 53)));
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        assert_eq!(ports(&packet(5, 32, 0x2000, 17)), Some((1025, 53)));
        assert_eq!(ports(&packet(5, 32, 0x2001, 17)), None);
        assert_eq!(ports(&packet(5, 32, 0x00b9, 17)), None);
        assert_eq!(ipv4(&packet(5, 32, 0x00b9, 17)).frag, 0x00b9);
    }

    #[test]
    fn bad_lengths_keep_the_addresses_and_nothing_behind() {
        for p in [
            packet(4, 32, 0, 17),
            packet(0, 32, 0, 17),
            packet(6, 20, 0, 17),
            packet(5, 19, 0, 17),
            packet(5, 1, 0, 17),
        ] {
            assert!(ipv4(&p).dst.is_some());
            assert_eq!(ipv4(&p).upper, Upper::None);
        }
        // the total length ends inside the UDP header: what lies behind it is padding
        assert_eq!(
            ipv4(&packet(5, 22, 0, 17)).upper,
            Upper::Ports(Ports { source: Some(1025), destination: None })
        );
        // 0 is a packet over 64 KiB
        assert_eq!(ports(&packet(5, 0, 0, 17)), Some((1025, 53)));
    }

    #[test]
    fn cut_headers_keep_what_is_whole() {
        let p = packet(5, 32, 0x4000, 6);
        assert_eq!(ipv4(&p[..0]), Headers::default());
        assert_eq!(ipv4(&p[..1]), Headers::default());
        assert_eq!(ipv4(&p[..2]), Headers { tos: Some(0x10), ..Headers::default() });
        let h = ipv4(&p[..16]);
        assert_eq!((h.src, h.dst, h.proto), (Some(addr_from_v4([192, 0, 2, 1])), None, Some(6)));
        assert_eq!(ipv4(&p[..15]).src, None);
        assert_eq!(ipv4(&p[..7]).frag, 0);
        let tcp = |n: usize| match ipv4(&p[..n]).upper {
            Upper::Tcp(tcp) => tcp,
            other => panic!("{other:?}"),
        };
        assert_eq!(tcp(24).ports, Ports { source: Some(1025), destination: Some(53) });
        assert_eq!(tcp(28), Tcp { ports: tcp(24).ports, seq: Some(0x000c_0000), ..Tcp::default() });
        assert_eq!(tcp(27).seq, None);
    }

    #[test]
    fn another_version_is_not_ipv4() {
        let mut p = packet(5, 32, 0, 17);
        p[0] = 0x65;
        assert_eq!(ipv4(&p), Headers::default());
    }
}
