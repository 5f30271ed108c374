//! What the columns of ulogd 2's tables are in rows of the lake.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use bartizan_model::{Kind, is_v4_mapped};

/// A value on its way to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    Number(i64),
    Text(&'a str),
    Address([u8; 16]),
    Mac([u8; 6]),
    /// The header of an Ethernet frame.
    Frame([u8; 6], [u8; 6], u16),
}

/// Which rows a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    All,
    V4,
    V6,
    Proto(i64),
}

/// How a column is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Seconds(&'static str),
    Micros(&'static str),
    Number(&'static str, Only),
    /// Absent in the lake where it is 0.
    Mark,
    Text(&'static str),
    Address(&'static str),
    Mac(&'static str),
    Frame,
    LinkType,
    Hook,
    Family,
    Flag(i64),
    Payload,
    Fragment,
    UdpLength,
    Label,
    Event,
}

use Only::{All, Proto, V4, V6};

const EVENTS: &[(&str, What)] = &[
    ("oob_time_sec", What::Seconds("time")),
    ("oob_time_usec", What::Micros("time")),
    ("oob_hook", What::Hook),
    ("oob_prefix", What::Text("prefix")),
    ("oob_mark", What::Mark),
    ("oob_in", What::Text("in_if")),
    ("oob_out", What::Text("out_if")),
    ("oob_family", What::Family),
    ("oob_protocol", What::Number("ether_type", All)),
    ("oob_uid", What::Number("uid", All)),
    ("oob_gid", What::Number("gid", All)),
    ("ip_saddr", What::Address("src")),
    ("ip_saddr_str", What::Address("src")),
    ("ip_saddr_bin", What::Address("src")),
    ("ip_daddr", What::Address("dst")),
    ("ip_daddr_str", What::Address("dst")),
    ("ip_daddr_bin", What::Address("dst")),
    ("ip_protocol", What::Number("proto", All)),
    ("ip_tos", What::Number("tos", V4)),
    ("ip_ttl", What::Number("ttl", V4)),
    ("ip_totlen", What::Number("length", V4)),
    ("ip_id", What::Number("ip_id", V4)),
    ("ip_fragoff", What::Number("frag", V4)),
    ("ip6_payloadlen", What::Payload),
    ("ip6_priority", What::Number("tos", V6)),
    ("ip6_hoplimit", What::Number("ttl", V6)),
    ("ip6_fragoff", What::Fragment),
    ("ip6_fragid", What::Number("ip_id", V6)),
    ("raw_label", What::Label),
    ("label", What::Label),
    ("raw_type", What::LinkType),
    ("mac_saddr_str", What::Mac("mac_src")),
    ("mac_daddr_str", What::Mac("mac_dst")),
    ("mac_str", What::Frame),
    ("tcp_sport", What::Number("sport", Proto(6))),
    ("tcp_dport", What::Number("dport", Proto(6))),
    ("tcp_seq", What::Number("tcp_seq", All)),
    ("tcp_ackseq", What::Number("tcp_ack", All)),
    ("tcp_window", What::Number("tcp_window", All)),
    ("tcp_fin", What::Flag(1)),
    ("tcp_syn", What::Flag(2)),
    ("tcp_rst", What::Flag(4)),
    ("tcp_psh", What::Flag(8)),
    ("tcp_ack", What::Flag(16)),
    ("tcp_urg", What::Flag(32)),
    ("udp_sport", What::Number("sport", Proto(17))),
    ("udp_dport", What::Number("dport", Proto(17))),
    ("udp_len", What::UdpLength),
    ("sctp_sport", What::Number("sport", Proto(132))),
    ("sctp_dport", What::Number("dport", Proto(132))),
    ("icmp_type", What::Number("icmp_type", Proto(1))),
    ("icmp_code", What::Number("icmp_code", Proto(1))),
    ("icmpv6_type", What::Number("icmp_type", Proto(58))),
    ("icmpv6_code", What::Number("icmp_code", Proto(58))),
    ("local_hostname", What::Text("host")),
];

const FLOWS: &[(&str, What)] = &[
    ("oob_family", What::Family),
    ("orig_ip_saddr", What::Address("src")),
    ("orig_ip_saddr_str", What::Address("src")),
    ("orig_ip_daddr", What::Address("dst")),
    ("orig_ip_daddr_str", What::Address("dst")),
    ("orig_ip_protocol", What::Number("proto", All)),
    ("orig_l4_sport", What::Number("sport", All)),
    ("orig_l4_dport", What::Number("dport", All)),
    ("orig_bytes", What::Number("bytes", All)),
    ("orig_packets", What::Number("packets", All)),
    ("orig_raw_pktlen", What::Number("bytes", All)),
    ("orig_raw_pktcount", What::Number("packets", All)),
    ("reply_ip_saddr", What::Address("reply_src")),
    ("reply_ip_saddr_str", What::Address("reply_src")),
    ("reply_ip_daddr", What::Address("reply_dst")),
    ("reply_ip_daddr_str", What::Address("reply_dst")),
    ("reply_ip_protocol", What::Number("proto", All)),
    ("reply_l4_sport", What::Number("reply_sport", All)),
    ("reply_l4_dport", What::Number("reply_dport", All)),
    ("reply_bytes", What::Number("reply_bytes", All)),
    ("reply_packets", What::Number("reply_packets", All)),
    ("reply_raw_pktlen", What::Number("reply_bytes", All)),
    ("reply_raw_pktcount", What::Number("reply_packets", All)),
    ("icmp_type", What::Number("icmp_type", All)),
    ("icmp_code", What::Number("icmp_code", All)),
    ("ct_mark", What::Mark),
    ("ct_event", What::Event),
    ("flow_start_sec", What::Seconds("start")),
    ("flow_start_usec", What::Micros("start")),
    ("flow_end_sec", What::Seconds("end")),
    ("flow_end_usec", What::Micros("end")),
    ("local_hostname", What::Text("host")),
];

/// How a column of a table for a kind of rows is made.
pub(super) fn of(kind: Kind, name: &str) -> Option<What> {
    let all = if kind == Kind::Flows { FLOWS } else { EVENTS };
    all.iter().find(|(column, _)| *column == name).map(|(_, what)| *what)
}

/// The columns of a batch that make one column of a table.
pub(super) struct Source<'a> {
    what: What,
    column: Option<&'a ArrayRef>,
    family: Option<&'a ArrayRef>,
    proto: Option<&'a ArrayRef>,
    more: [Option<&'a ArrayRef>; 2],
}

impl<'a> Source<'a> {
    pub(super) fn new(what: What, batch: &'a RecordBatch) -> Self {
        let column = |name: &str| batch.column_by_name(name);
        let main = match what {
            What::Seconds(name) | What::Micros(name) | What::Number(name, _) => name,
            What::Text(name) | What::Address(name) | What::Mac(name) => name,
            What::Mark => "mark",
            What::Frame | What::LinkType => "mac_src",
            What::Hook => "hook",
            What::Family => "family",
            What::Flag(_) => "tcp_flags",
            What::Payload | What::UdpLength => "length",
            What::Fragment => "frag",
            What::Label => "action",
            What::Event => "event",
        };
        let more = if what == What::Frame { [column("mac_dst"), column("ether_type")] } else { [None, None] };
        Self { what, column: column(main), family: column("family"), proto: column("proto"), more }
    }

    pub(super) fn cell(&self, row: usize) -> Cell<'a> {
        self.find(row).unwrap_or(Cell::Null)
    }

    fn find(&self, row: usize) -> Option<Cell<'a>> {
        let column = self.column?;
        Some(match self.what {
            What::Seconds(_) => Cell::Number(time(column, row)?.div_euclid(1_000_000)),
            What::Micros(_) => Cell::Number(time(column, row)?.rem_euclid(1_000_000)),
            What::Number(_, only) => {
                let fits = match only {
                    All => true,
                    V4 => !self.is_v6(row),
                    V6 => self.is_v6(row),
                    Proto(proto) => self.proto.and_then(|c| number(c, row)) == Some(proto),
                };
                Cell::Number(number(column, row).filter(|_| fits)?)
            }
            What::Mark => Cell::Number(number(column, row).unwrap_or(0)),
            What::Text(_) => Cell::Text(text(column, row)?),
            What::Address(_) => Cell::Address(address(column, row)?),
            What::Mac(_) => Cell::Mac(mac(text(column, row)?)?),
            What::Frame => {
                let [to, kind] = self.more;
                let kind = kind.and_then(|c| number(c, row)).unwrap_or(if self.is_v6(row) {
                    0x86dd
                } else {
                    0x0800
                });
                Cell::Frame(mac(text(to?, row)?)?, mac(text(column, row)?)?, u16::try_from(kind).ok()?)
            }
            What::LinkType => text(column, row).map(|_| Cell::Number(1))?,
            What::Hook => Cell::Number(match text(column, row)? {
                "prerouting" | "ingress" => 0,
                "input" => 1,
                "forward" => 2,
                "output" => 3,
                "postrouting" => 4,
                _ => return None,
            }),
            What::Family => Cell::Number(match text(column, row)? {
                "inet" => 1,
                "ip" => 2,
                "arp" => 3,
                "netdev" => 5,
                "bridge" => 7,
                "ip6" => 10,
                _ => return None,
            }),
            What::Flag(bit) => Cell::Number(i64::from(number(column, row)? & bit != 0)),
            What::Payload => Cell::Number(number(column, row).filter(|_| self.is_v6(row))?.checked_sub(40)?),
            What::Fragment => Cell::Number((number(column, row).filter(|_| self.is_v6(row))? & 0x1fff) << 3),
            What::UdpLength => {
                let header = if self.is_v6(row) { 40 } else { 20 };
                let is_udp = self.proto.and_then(|c| number(c, row)) == Some(17);
                Cell::Number(number(column, row).filter(|_| is_udp)?.checked_sub(header)?)
            }
            What::Label => Cell::Number(match text(column, row)? {
                "accept" => 1,
                "drop" | "reject" => 0,
                _ => return None,
            }),
            What::Event => Cell::Number(match text(column, row)? {
                "new" => 1,
                "destroy" => 4,
                _ => 2,
            }),
        })
    }

    fn is_v6(&self, row: usize) -> bool {
        self.family.and_then(|c| text(c, row)) == Some("ip6")
    }
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    let texts = column.as_string_view_opt()?;
    texts.is_valid(row).then(|| texts.value(row))
}

fn time(column: &ArrayRef, row: usize) -> Option<i64> {
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.is_valid(row).then(|| times.value(row))
}

fn number(column: &ArrayRef, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    if let Some(numbers) = column.as_primitive_opt::<Int32Type>() {
        return Some(numbers.value(row).into());
    }
    if let Some(numbers) = column.as_primitive_opt::<Int16Type>() {
        return Some(numbers.value(row).into());
    }
    Some(column.as_primitive_opt::<Int64Type>()?.value(row))
}

fn address(column: &ArrayRef, row: usize) -> Option<[u8; 16]> {
    let addresses = column.as_fixed_size_binary_opt()?;
    if addresses.is_null(row) { None } else { addresses.value(row).try_into().ok() }
}

/// `aa:bb:cc:dd:ee:ff`.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The four bytes of an IPv4 address.
pub(super) fn v4(address: &[u8; 16]) -> Option<[u8; 4]> {
    is_v4_mapped(address).then(|| address[12..].try_into().ok()).flatten()
}
