use super::{Headers, Ports, Upper, ipv4, ipv6, upper};

/// Bytes before the quoted packet in an error.
const QUOTE: usize = 8;

/// An ICMP (RFC 792) or ICMPv6 (RFC 4443) header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: Option<u8>,
    /// Code.
    pub code: Option<u8>,
    /// The packet that an error quotes.
    pub quoted: Option<Quoted>,
}

/// The start of a packet quoted in an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quoted {
    /// Its protocol.
    pub proto: Option<u8>,
    /// Its source address.
    pub src: Option<[u8; 16]>,
    /// Its destination address.
    pub dst: Option<[u8; 16]>,
    /// Its ports.
    pub ports: Ports,
}

impl Quoted {
    pub(super) fn new(headers: &Headers, body: Option<(u8, &[u8])>) -> Self {
        let ports = body.map_or_else(Ports::default, |(proto, body)| upper::ports_of(proto, body));
        Self { proto: headers.proto, src: headers.src, dst: headers.dst, ports }
    }
}

/// ICMP; unreachable, source quench, redirect, time exceeded and parameter problem quote a packet.
pub(super) fn v4(body: &[u8]) -> Upper {
    read(body, |kind| matches!(kind, 3 | 4 | 5 | 11 | 12), ipv4::quoted)
}

/// ICMPv6; types 1 to 4 are the errors that quote a packet.
pub(super) fn v6(body: &[u8]) -> Upper {
    read(body, |kind| matches!(kind, 1..=4), ipv6::quoted)
}

fn read(body: &[u8], is_error: fn(u8) -> bool, quoted: fn(&[u8]) -> Quoted) -> Upper {
    let kind = body.first().copied();
    let quote = body.get(QUOTE..).filter(|_| kind.is_some_and(is_error)).map(quoted);
    Upper::Icmp(Icmp { kind, code: body.get(1).copied(), quoted: quote.filter(|q| *q != Quoted::default()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::addr_from_v4;

    const INNER: &[u8] = &[
        0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 22, 0, 0, 0, 1,
    ];

    fn icmp(upper: Upper) -> Icmp {
        match upper {
            Upper::Icmp(icmp) => icmp,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_quotes_the_packet_it_is_about() {
        let body = [&[3, 1, 0, 0, 0, 0, 0, 0][..], INNER].concat();
        let got = icmp(v4(&body));
        assert_eq!((got.kind, got.code), (Some(3), Some(1)));
        let quoted = got.quoted.unwrap();
        assert_eq!(quoted.proto, Some(6));
        assert_eq!(quoted.src, Some(addr_from_v4([10, 0, 0, 1])));
        assert_eq!(quoted.dst, Some(addr_from_v4([10, 0, 0, 2])));
        assert_eq!(quoted.ports, Ports { source: Some(12345), destination: Some(22) });
        // cut anywhere: as far as readable
        assert_eq!(icmp(v4(&body[..8])).quoted, None);
        assert_eq!(icmp(v4(&body[..8 + 12])).quoted.unwrap().proto, Some(6));
        assert_eq!(icmp(v4(&body[..8 + 20])).quoted.unwrap().ports, Ports::default());
        assert_eq!(icmp(v4(&body[..1])), Icmp { kind: Some(3), code: None, quoted: None });
    }

    #[test]
    fn an_echo_quotes_nothing() {
        let body = [&[8, 0, 0, 0, 0, 0, 0, 0][..], INNER].concat();
        assert_eq!(icmp(v4(&body)).quoted, None);
        assert_eq!(icmp(v6(&[&[128, 0, 0, 0, 0, 0, 0, 0][..], INNER].concat())).quoted, None);
    }

    #[test]
    fn icmpv6_quotes_ipv6_with_its_extension_headers() {
        let mut inner = vec![0x60, 0, 0, 0, 0, 24, 60, 1];
        inner.extend([0xfe; 16]);
        inner.extend([0xfd; 16]);
        inner.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        inner.extend([0, 53, 0, 54, 0, 8, 0, 0]);
        let body = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &inner].concat();
        let quoted = icmp(v6(&body)).quoted.unwrap();
        assert_eq!((quoted.proto, quoted.src, quoted.dst), (Some(17), Some([0xfe; 16]), Some([0xfd; 16])));
        assert_eq!(quoted.ports, Ports { source: Some(53), destination: Some(54) });
    }
}
