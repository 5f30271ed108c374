//! A writer of MaxMind's file format, for tests: the smallest that its specification allows.

use bartizan_filter::AddrRange;

/// A value of the data section.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Text(String),
    Number(u32),
    Map(Vec<(&'static str, Data)>),
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Number(number) => {
                control(6, 4, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Map(entries) => {
                control(7, entries.len(), out);
                for (key, value) in entries {
                    Self::Text((*key).to_owned()).write(out);
                    value.write(out);
                }
            }
        }
    }
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    match u8::try_from(size) {
        Ok(size) if size < 29 => out.push(kind << 5 | size),
        Ok(size) => out.extend_from_slice(&[kind << 5 | 29, size - 29]),
        Err(_) => panic!("too long for a test"),
    }
}

/// The file of some networks, built at second 1,764,000,000.
pub(crate) fn mmdb(kind: &str, version: u16, networks: &[(&str, Data)]) -> Vec<u8> {
    let depth = if version == 6 { 128 } else { 32 };
    // Children of each node: another node, a place in the data section, or nothing.
    let mut nodes: Vec<[Child; 2]> = vec![[Child::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let range = AddrRange::parse(network).unwrap();
        let (first, last) = (u128::from_be_bytes(range.first), u128::from_be_bytes(range.last));
        let host_bits = (first ^ last).count_ones();
        let (bits, length) = match (range.is_v4(), version) {
            // IPv4 hangs below ::/96
            (true, 6) => (first & 0xffff_ffff, 128 - host_bits),
            (true, _) => (first << 96, 32 - host_bits),
            (false, _) => (first, 128 - host_bits),
        };
        let place = data.len();
        value.write(&mut data);
        let mut node = 0;
        for level in 0..length {
            let bit = usize::from(bits >> (127 - level) & 1 == 1);
            if level + 1 == length {
                nodes[node][bit] = Child::Data(place);
            } else if let Child::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Child::Nothing; 2]);
                nodes[node][bit] = Child::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
        assert!(length <= depth);
    }
    let mut out = Vec::new();
    for child in nodes.iter().flatten() {
        let value = match child {
            Child::Nothing => nodes.len(),
            Child::Node(node) => *node,
            Child::Data(place) => nodes.len() + 16 + place,
        };
        out.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(kind, version, nodes.len(), &mut out);
    out
}

#[derive(Clone, Copy, Debug)]
enum Child {
    Nothing,
    Node(usize),
    Data(usize),
}

fn metadata(kind: &str, version: u16, nodes: usize, out: &mut Vec<u8>) {
    let key = |key: &str, out: &mut Vec<u8>| Data::Text(key.to_owned()).write(out);
    let short = |number: u16, out: &mut Vec<u8>| {
        control(5, 2, out);
        out.extend_from_slice(&number.to_be_bytes());
    };
    control(7, 9, out);
    key("binary_format_major_version", out);
    short(2, out);
    key("binary_format_minor_version", out);
    short(0, out);
    key("build_epoch", out);
    // an extended type: 64 bits
    out.extend_from_slice(&[8, 2]);
    out.extend_from_slice(&1_764_000_000_u64.to_be_bytes());
    key("database_type", out);
    Data::Text(kind.to_owned()).write(out);
    key("description", out);
    control(7, 0, out);
    key("ip_version", out);
    short(version, out);
    key("languages", out);
    // an extended type: an empty list
    out.extend_from_slice(&[0, 4]);
    key("node_count", out);
    Data::Number(u32::try_from(nodes).unwrap()).write(out);
    key("record_size", out);
    short(24, out);
}
