use super::{Fields, Headers, MORE_FRAGMENTS, be16, be32, icmp::Quoted, upper};

const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTH: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// An IPv6 packet (RFC 8200). Bytes that do not start with version 6 give empty headers.
///
/// A mobility, HIP or Shim6 header that carries nothing more is itself the protocol; otherwise the protocol is
/// what follows it.
#[must_use]
pub fn ipv6(bytes: &[u8]) -> Headers {
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

/// The packet quoted in an ICMPv6 error: addresses, protocol and ports only.
pub(super) fn quoted(bytes: &[u8]) -> Quoted {
    let mut headers = Headers::default();
    let body = header(bytes, &mut headers);
    Quoted::new(&headers, body)
}

/// The header with its extensions. Returns the protocol and the bytes behind it where they are the start of
/// another header.
#[inline(always)]
fn header<'a>(bytes: &'a [u8], out: &mut impl Fields) -> Option<(u8, &'a [u8])> {
    let Some(h) = bytes.first_chunk::<HEADER>() else {
        cut(bytes, out);
        return None;
    };
    if h[0] >> 4 != 6 {
        return None;
    }
    let (_, addresses) = h.split_first_chunk::<8>()?;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    let payload = u16::from_be_bytes([h[4], h[5]]);
    out.src(*src);
    out.dst(*dst.first_chunk()?);
    out.length(40 + u32::from(payload));
    out.tos((h[0] << 4) | (h[1] >> 4));
    out.ttl(h[7]);
    let end = if payload == 0 { bytes.len() } else { bytes.len().min(HEADER + usize::from(payload)) };
    let body = &bytes[HEADER..end];
    if is_extension(h[6]) {
        return chain(h[6], body, out);
    }
    out.proto(h[6]);
    Some((h[6], body))
}

/// Walks the extension headers.
fn chain<'a>(mut next: u8, mut body: &'a [u8], out: &mut impl Fields) -> Option<(u8, &'a [u8])> {
    let mut fragment = false;
    while is_extension(next) {
        let [following, size] = *body.first_chunk::<2>()?;
        let size = usize::from(size);
        let skip = match next {
            FRAGMENT => {
                let field = be16(body, 2)?;
                let offset = field >> 3;
                // a second fragment header is nothing that a sender makes; the outermost names the packet
                if !fragment {
                    fragment = true;
                    out.frag(offset | if field & 1 == 1 { MORE_FRAGMENTS } else { 0 });
                    out.id(be32(body, 4)?);
                }
                if offset != 0 {
                    if !is_extension(following) {
                        out.proto(following);
                    }
                    return None;
                }
                8
            }
            AUTH => (size + 2) * 4,
            _ => (size + 1) * 8,
        };
        if following == NO_NEXT && matches!(next, MOBILITY | HIP | SHIM6) {
            break;
        }
        body = body.get(skip..)?;
        next = following;
    }
    out.proto(next);
    Some((next, body))
}

#[inline]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTH | DESTINATION | MOBILITY | HIP | SHIM6)
}

/// A header of fewer than 40 bytes: the fields that are whole.
#[cold]
fn cut(bytes: &[u8], out: &mut impl Fields) {
    if bytes.first().is_none_or(|b| b >> 4 != 6) {
        return;
    }
    if let Some(class) = be16(bytes, 0) {
        out.tos((class >> 4) as u8);
    }
    if let Some(payload) = be16(bytes, 4) {
        out.length(40 + u32::from(payload));
    }
    if let Some(next) = bytes.get(6).filter(|next| !is_extension(**next)) {
        out.proto(*next);
    }
    if let Some(ttl) = bytes.get(7) {
        out.ttl(*ttl);
    }
    if let Some(src) = bytes.get(8..).and_then(|b| b.first_chunk()) {
        out.src(*src);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ports, Upper};
    use super::*;

    const UDP: &[u8] = &[0, 99, 0x01, 0xbb, 0, 8, 0, 0];

    fn packet(next: u8, body: &[u8]) -> Vec<u8> {
        let mut p = vec![0x6a, 0xb0, 0, 0];
        p.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        p.extend([next, 64]);
        p.extend([0x20; 16]);
        p.extend([0x30; 16]);
        p.extend(body);
        p
    }

    fn is_udp(h: &Headers) -> bool {
        h.proto == Some(17) && h.upper == Upper::Ports(Ports { source: Some(99), destination: Some(443) })
    }

    #[test]
    fn reads_every_field() {
        let h = ipv6(&packet(17, UDP));
        assert!(is_udp(&h));
        assert_eq!((h.src, h.dst), (Some([0x20; 16]), Some([0x30; 16])));
        assert_eq!((h.length, h.tos, h.ttl, h.id, h.frag), (Some(48), Some(0xab), Some(64), None, 0));
    }

    #[test]
    fn walks_every_kind_of_extension_header() {
        let hop = [43u8, 0, 1, 4, 0, 0, 0, 0];
        let routing = [60u8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let options = [51u8, 0, 1, 4, 0, 0, 0, 0];
        let auth = [135u8, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        let mobility = [44u8, 0, 5, 0, 0, 0, 0, 0];
        let fragment = [17u8, 0, 0, 1, 0, 0, 0x12, 0x34];
        let body = [&hop[..], &routing, &options, &auth, &mobility, &fragment, UDP].concat();
        let h = ipv6(&packet(0, &body));
        assert!(is_udp(&h), "{h:?}");
        assert_eq!((h.id, h.frag), (Some(0x1234), MORE_FRAGMENTS));
        // cut inside the chain: the protocol is unknown; cut behind it: it is known
        let whole = packet(0, &body);
        for n in 40..whole.len() - UDP.len() {
            assert_eq!(ipv6(&whole[..n]).proto, None, "{n}");
        }
        assert_eq!(ipv6(&whole[..whole.len() - UDP.len()]).proto, Some(17));
    }

    #[test]
    fn a_later_fragment_has_a_protocol_and_no_ports() {
        let body = [&[17u8, 0, 0x05, 0xa9, 0, 0, 0, 7][..], UDP].concat();
        let h = ipv6(&packet(44, &body));
        assert_eq!(
            (h.proto, h.frag, h.id, h.upper),
            (Some(17), 0x00b5 | MORE_FRAGMENTS, Some(7), Upper::None)
        );
        let body = [&[60u8, 0, 0x05, 0xa8, 0, 0, 0, 7][..], UDP].concat();
        assert_eq!(ipv6(&packet(44, &body)).proto, None);
    }

    #[test]
    fn a_mobility_header_with_nothing_behind_is_the_protocol() {
        assert_eq!(ipv6(&packet(135, &[59, 0, 5, 0, 0, 0, 0, 0])).proto, Some(135));
        assert_eq!(ipv6(&packet(60, &[59, 0, 1, 4, 0, 0, 0, 0])).proto, Some(59));
    }

    #[test]
    fn the_payload_length_ends_the_packet() {
        let mut p = packet(17, UDP);
        p[5] = 2;
        assert_eq!(ipv6(&p).upper, Upper::Ports(Ports { source: Some(99), destination: None }));
        p[5] = 0;
        assert!(is_udp(&ipv6(&p)));
    }

    #[test]
    fn cut_headers_keep_what_is_whole() {
        let p = packet(17, UDP);
        assert_eq!(ipv6(&p[..1]), Headers::default());
        let h = ipv6(&p[..24]);
        assert_eq!(
            (h.src, h.dst, h.proto, h.ttl, h.length),
            (Some([0x20; 16]), None, Some(17), Some(64), Some(48))
        );
        assert_eq!(ipv6(&p[..23]).src, None);
        assert_eq!(ipv6(&packet(0, &[])[..23]).proto, None);
        assert_eq!(ipv6(&[0x45; 39]), Headers::default());
    }
}
