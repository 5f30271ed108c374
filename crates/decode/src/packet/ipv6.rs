use super::{Headers, MORE_FRAGMENTS, Upper, be16, be32, icmp::Quoted, upper};

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
#[inline]
pub fn ipv6(bytes: &[u8]) -> Headers {
    let (mut headers, body) = header(bytes);
    if let (Some(proto), Some(body)) = (headers.proto, body) {
        headers.upper = upper::read(proto, body);
    }
    headers
}

/// The packet quoted in an ICMPv6 error: addresses, protocol and ports only.
pub(super) fn quoted(bytes: &[u8]) -> Quoted {
    let (headers, body) = header(bytes);
    Quoted::new(&headers, body)
}

#[inline]
fn header(bytes: &[u8]) -> (Headers, Option<&[u8]>) {
    let Some(h) = bytes.first_chunk::<HEADER>() else { return (cut(bytes), None) };
    let Some(mut headers) = fixed(h) else { return (Headers::default(), None) };
    let payload = usize::from(u16::from_be_bytes([h[4], h[5]]));
    let end = if payload == 0 { bytes.len() } else { bytes.len().min(HEADER + payload) };
    let body = extensions(&mut headers, h[6], &bytes[HEADER..end]);
    (headers, body)
}

/// The fields of the fixed header, without the protocol: that stands at the end of the chain.
#[inline]
fn fixed(h: &[u8; HEADER]) -> Option<Headers> {
    if h[0] >> 4 != 6 {
        return None;
    }
    let (_, addresses) = h.split_first_chunk::<8>()?;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    Some(Headers {
        src: Some(*src),
        dst: dst.first_chunk().copied(),
        length: Some(40 + u32::from(u16::from_be_bytes([h[4], h[5]]))),
        tos: Some((h[0] << 4) | (h[1] >> 4)),
        ttl: Some(h[7]),
        ..Headers::default()
    })
}

/// Walks the extension headers. Returns what follows them, unless it is cut or the middle of a fragment.
#[inline]
fn extensions<'a>(headers: &mut Headers, first: u8, body: &'a [u8]) -> Option<&'a [u8]> {
    if !is_extension(first) {
        headers.proto = Some(first);
        return Some(body);
    }
    chain(headers, first, body)
}

fn chain<'a>(headers: &mut Headers, mut next: u8, mut body: &'a [u8]) -> Option<&'a [u8]> {
    while is_extension(next) {
        let [following, size] = *body.first_chunk::<2>()?;
        let size = usize::from(size);
        let skip = match next {
            FRAGMENT => {
                let field = be16(body, 2)?;
                let offset = field >> 3;
                // a second fragment header is nothing that a sender makes; the outermost names the packet
                if headers.id.is_none() {
                    headers.frag = offset | if field & 1 == 1 { MORE_FRAGMENTS } else { 0 };
                    headers.id = Some(be32(body, 4)?);
                }
                if offset != 0 {
                    headers.proto = Some(following).filter(|p| !is_extension(*p));
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
    headers.proto = Some(next);
    Some(body)
}

#[inline]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTH | DESTINATION | MOBILITY | HIP | SHIM6)
}

/// A header of fewer than 40 bytes: the fields that are whole.
#[cold]
fn cut(bytes: &[u8]) -> Headers {
    let mut whole = [0; HEADER];
    let n = bytes.len().min(HEADER);
    whole[..n].copy_from_slice(&bytes[..n]);
    let h = fixed(&whole).unwrap_or_default();
    Headers {
        src: h.src.filter(|_| n >= 24),
        proto: (h.src.is_some() && n >= 7 && !is_extension(whole[6])).then_some(whole[6]),
        length: h.length.filter(|_| n >= 6),
        tos: h.tos.filter(|_| n >= 2),
        ttl: h.ttl.filter(|_| n >= 8),
        dst: None,
        id: None,
        frag: 0,
        upper: Upper::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ports;
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
