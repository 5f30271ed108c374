//! Logged packets as columns: the wire columns of `bartizan_schema::EVENTS`, built row by row.
//!
//! Invariants:
//! - A row is time, source, family and packets, and whatever else the packet has. A column that no row of a
//!   batch has is not in the batch; the others are in the order of `wire_schema(Kind::Events)`.
//! - A column is only touched by the rows that have it; it remembers how many rows it holds and is filled with
//!   nulls up to the row when it is next written, and at the end.
//! - Text is a dictionary. What repeats from the row before is recognised by one comparison; hardware
//!   addresses, interfaces, hooks and families are interned as numbers and written as text once per batch.
//! - Memory is bounded by the row limit: every dictionary has at most one value per row, and a prefix is kept
//!   to [`MAX_PREFIX`] bytes. A full builder refuses rows with [`Full`] until it is finished.
//!
//! It fills no column that the server fills, nor `payload`, `raw` and `extra`.

mod interfaces;
mod sparse;
mod text;

pub use interfaces::InterfaceNames;

use crate::nflog::{self, Link, NflogPacket};
use crate::packet::{Headers, Icmp, Ports, Tcp, Upper};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use bartizan_model::{Kind, Micros};
use bartizan_schema::wire_schema;
use sparse::{Sparse, Times};
use std::fmt::Write as _;
use std::sync::Arc;
use text::{Named, Text};

/// Bytes of a prefix that are kept. The kernel's own limit is 127.
pub const MAX_PREFIX: usize = 255;

/// Rows that one builder can hold at most, whatever was asked for.
const MAX_ROWS: usize = 1 << 20;

/// The builder holds as many rows as it may; finish it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is full with {rows} rows")]
pub struct Full {
    /// Rows in it.
    pub rows: usize,
}

/// A builder of batches of events.
#[derive(Debug)]
pub struct EventColumns {
    limit: usize,
    rows: usize,
    netns: Option<Box<str>>,
    unknown_interface: Option<u32>,
    interfaces_version: u64,
    columns: Columns,
}

#[derive(Debug, Default)]
struct Columns {
    time: Times,
    netns: Text,
    prefix: Text,
    family: Named,
    hook: Named,
    in_if: Named,
    out_if: Named,
    phys_in: Named,
    phys_out: Named,
    mac_src: Named,
    mac_dst: Named,
    ether_type: Sparse<i32>,
    vlan: Sparse<i32>,
    src: Sparse<i128>,
    dst: Sparse<i128>,
    proto: Sparse<i16>,
    sport: Sparse<i32>,
    dport: Sparse<i32>,
    length: Sparse<i32>,
    tos: Sparse<i16>,
    ttl: Sparse<i16>,
    ip_id: Sparse<i64>,
    frag: Sparse<i32>,
    tcp_flags: Sparse<i16>,
    tcp_seq: Sparse<i64>,
    tcp_ack: Sparse<i64>,
    tcp_window: Sparse<i32>,
    icmp_type: Sparse<i16>,
    icmp_code: Sparse<i16>,
    inner_proto: Sparse<i16>,
    inner_src: Sparse<i128>,
    inner_dst: Sparse<i128>,
    inner_sport: Sparse<i32>,
    inner_dport: Sparse<i32>,
    mark: Sparse<i64>,
    uid: Sparse<i64>,
    gid: Sparse<i64>,
    ct_state: Named,
}

impl EventColumns {
    /// A builder of batches of at most `limit` rows (1 to 1,048,576). Allocates with the first rows.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, MAX_ROWS),
            rows: 0,
            netns: None,
            unknown_interface: None,
            interfaces_version: 0,
            columns: Columns::default(),
        }
    }

    /// The network namespace of the rows from here on; `None` and the empty name are the host's own.
    pub fn set_netns(&mut self, name: Option<&str>) {
        self.netns = name.filter(|n| !n.is_empty()).map(Box::from);
    }

    /// Rows so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the next row would be refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.rows >= self.limit
    }

    /// About how many bytes the columns hold. Walks all columns: ask once per datagram, not per packet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut sum = self.rows * 12;
        self.columns.each(&mut |column| sum += column.bytes());
        sum
    }

    /// The number of an interface that had no name, if there was one since the last call.
    pub const fn take_unknown_interface(&mut self) -> Option<u32> {
        self.unknown_interface.take()
    }

    /// Adds one packet. Its time is that of its timestamp, else `received`.
    ///
    /// # Errors
    /// When the builder is full; the packet was not added.
    #[inline]
    pub fn push_nflog(
        &mut self,
        packet: &NflogPacket<'_>,
        received: Micros,
        interfaces: &InterfaceNames,
    ) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full { rows: self.rows });
        }
        if self.rows == 0 {
            self.columns.time.0.reserve(self.limit);
        }
        if self.interfaces_version != interfaces.version() {
            self.interfaces_version = interfaces.version();
            self.columns.forget_interfaces();
        }
        let row = self.rows;
        let (link, headers) = packet.decode();
        self.columns.time.0.push(row, packet.timestamp.unwrap_or(received).0);
        if let Some(netns) = &self.netns {
            self.columns.netns.push(row, netns.as_bytes());
        }
        self.columns.push_meta(row, packet);
        self.push_interfaces(row, packet, interfaces);
        self.columns.push_link(row, &link);
        self.columns.push_headers(row, &headers);
        self.rows = row + 1;
        Ok(())
    }

    #[inline]
    fn push_interfaces(&mut self, row: usize, p: &NflogPacket<'_>, names: &InterfaceNames) {
        let c = &mut self.columns;
        let unknown = &mut self.unknown_interface;
        for (column, index) in [
            (&mut c.in_if, p.in_dev),
            (&mut c.out_if, p.out_dev),
            (&mut c.phys_in, p.phys_in_dev),
            (&mut c.phys_out, p.phys_out_dev),
        ] {
            if let Some(index) = index {
                column.push(row, u64::from(index), |text| match names.name(index) {
                    Some(name) => text.push_str(name),
                    None => {
                        *unknown = Some(index);
                        let _ = write!(text, "{index}");
                    }
                });
            }
        }
    }

    /// The rows as a batch; the builder is empty afterwards. Without rows, a batch of none.
    #[must_use]
    pub fn finish(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let schema = wire_schema(Kind::Events);
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            if let Some(array) = self.columns.finish(field.name(), rows, !field.is_nullable()) {
                fields.push(Arc::clone(field));
                arrays.push(array);
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("every column has the row count and the type of its field")
    }
}

impl Columns {
    #[inline]
    fn push_meta(&mut self, row: usize, p: &NflogPacket<'_>) {
        self.family.push(row, u64::from(p.family), |text| text.push_str(family_word(p.family)));
        if let Some(word) = p.hook.and_then(|hook| hook_word(p.family, hook)) {
            let key = u64::from(p.family) << 8 | u64::from(p.hook.unwrap_or_default());
            self.hook.push(row, key, |text| text.push_str(word));
        }
        if let Some(prefix) = p.prefix.filter(|prefix| !prefix.is_empty()) {
            self.prefix.push(row, &prefix[..prefix.len().min(MAX_PREFIX)]);
        }
        if let Some(mark) = p.mark.filter(|mark| *mark != 0) {
            self.mark.push(row, i64::from(mark));
        }
        if let Some(uid) = p.uid {
            self.uid.push(row, i64::from(uid));
        }
        if let Some(gid) = p.gid {
            self.gid.push(row, i64::from(gid));
        }
        if let Some((info, word)) = p.ct_info.and_then(|info| Some((info, ct_word(info)?))) {
            self.ct_state.push(row, u64::from(info), |text| text.push_str(word));
        }
    }

    #[inline]
    fn push_link(&mut self, row: usize, link: &Link) {
        if let Some(mac) = link.mac_src {
            self.mac_src.push(row, mac_number(mac), |text| write_mac(text, mac));
        }
        if let Some(mac) = link.mac_dst {
            self.mac_dst.push(row, mac_number(mac), |text| write_mac(text, mac));
        }
        if let Some(ether_type) = link.ether_type {
            self.ether_type.push(row, i32::from(ether_type));
        }
        if let Some(vlan) = link.vlan {
            self.vlan.push(row, i32::from(vlan));
        }
    }

    #[inline]
    fn push_headers(&mut self, row: usize, h: &Headers) {
        if let Some(src) = h.src {
            self.src.push(row, i128::from_ne_bytes(src));
        }
        if let Some(dst) = h.dst {
            self.dst.push(row, i128::from_ne_bytes(dst));
        }
        if let Some(proto) = h.proto {
            self.proto.push(row, i16::from(proto));
        }
        if let Some(length) = h.length.and_then(|n| i32::try_from(n).ok()) {
            self.length.push(row, length);
        }
        if let Some(tos) = h.tos {
            self.tos.push(row, i16::from(tos));
        }
        if let Some(ttl) = h.ttl {
            self.ttl.push(row, i16::from(ttl));
        }
        if let Some(id) = h.id {
            self.ip_id.push(row, i64::from(id));
        }
        if h.frag != 0 {
            self.frag.push(row, i32::from(h.frag));
        }
        match &h.upper {
            Upper::None => {}
            Upper::Ports(ports) => self.push_ports(row, *ports),
            Upper::Tcp(tcp) => self.push_tcp(row, tcp),
            Upper::Icmp(icmp) => self.push_icmp(row, icmp),
            // an operation over 32767 was never assigned, and the column has no room for it
            Upper::Arp(operation) => {
                if let Ok(operation) = i16::try_from(*operation) {
                    self.icmp_type.push(row, operation);
                }
            }
        }
    }

    #[inline]
    fn push_ports(&mut self, row: usize, ports: Ports) {
        if let Some(port) = ports.source {
            self.sport.push(row, i32::from(port));
        }
        if let Some(port) = ports.destination {
            self.dport.push(row, i32::from(port));
        }
    }

    #[inline]
    fn push_tcp(&mut self, row: usize, tcp: &Tcp) {
        self.push_ports(row, tcp.ports);
        if let Some(seq) = tcp.seq {
            self.tcp_seq.push(row, i64::from(seq));
        }
        if let Some(ack) = tcp.ack {
            self.tcp_ack.push(row, i64::from(ack));
        }
        if let Some(flags) = tcp.flags {
            // 9 bits
            self.tcp_flags.push(row, flags.cast_signed());
        }
        if let Some(window) = tcp.window {
            self.tcp_window.push(row, i32::from(window));
        }
    }

    fn push_icmp(&mut self, row: usize, icmp: &Icmp) {
        if let Some(kind) = icmp.kind {
            self.icmp_type.push(row, i16::from(kind));
        }
        if let Some(code) = icmp.code {
            self.icmp_code.push(row, i16::from(code));
        }
        let Some(quoted) = &icmp.quoted else { return };
        if let Some(proto) = quoted.proto {
            self.inner_proto.push(row, i16::from(proto));
        }
        if let Some(src) = quoted.src {
            self.inner_src.push(row, i128::from_ne_bytes(src));
        }
        if let Some(dst) = quoted.dst {
            self.inner_dst.push(row, i128::from_ne_bytes(dst));
        }
        if let Some(port) = quoted.ports.source {
            self.inner_sport.push(row, i32::from(port));
        }
        if let Some(port) = quoted.ports.destination {
            self.inner_dport.push(row, i32::from(port));
        }
    }

    fn forget_interfaces(&mut self) {
        for column in [&mut self.in_if, &mut self.out_if, &mut self.phys_in, &mut self.phys_out] {
            column.forget_names();
        }
    }

    /// Takes the column of a name: `None` when no row has it, unless it must be there.
    fn finish(&mut self, name: &str, rows: usize, required: bool) -> Option<ArrayRef> {
        match name {
            "source" => return Some(Named::repeated("nflog", rows)),
            "packets" => return Some(sparse::repeated(1, rows)),
            _ => {}
        }
        let column = self.column(name)?;
        (required || column.is_used()).then(|| column.finish(rows))
    }

    fn column(&mut self, name: &str) -> Option<&mut dyn Column> {
        Some(match name {
            "time" => &mut self.time,
            "netns" => &mut self.netns,
            "prefix" => &mut self.prefix,
            "family" => &mut self.family,
            "hook" => &mut self.hook,
            "in_if" => &mut self.in_if,
            "out_if" => &mut self.out_if,
            "phys_in" => &mut self.phys_in,
            "phys_out" => &mut self.phys_out,
            "mac_src" => &mut self.mac_src,
            "mac_dst" => &mut self.mac_dst,
            "ether_type" => &mut self.ether_type,
            "vlan" => &mut self.vlan,
            "src" => &mut self.src,
            "dst" => &mut self.dst,
            "proto" => &mut self.proto,
            "sport" => &mut self.sport,
            "dport" => &mut self.dport,
            "length" => &mut self.length,
            "tos" => &mut self.tos,
            "ttl" => &mut self.ttl,
            "ip_id" => &mut self.ip_id,
            "frag" => &mut self.frag,
            "tcp_flags" => &mut self.tcp_flags,
            "tcp_seq" => &mut self.tcp_seq,
            "tcp_ack" => &mut self.tcp_ack,
            "tcp_window" => &mut self.tcp_window,
            "icmp_type" => &mut self.icmp_type,
            "icmp_code" => &mut self.icmp_code,
            "inner_proto" => &mut self.inner_proto,
            "inner_src" => &mut self.inner_src,
            "inner_dst" => &mut self.inner_dst,
            "inner_sport" => &mut self.inner_sport,
            "inner_dport" => &mut self.inner_dport,
            "mark" => &mut self.mark,
            "uid" => &mut self.uid,
            "gid" => &mut self.gid,
            "ct_state" => &mut self.ct_state,
            _ => return None,
        })
    }

    fn each(&self, f: &mut dyn FnMut(&dyn Column)) {
        let c = self;
        let all: [&dyn Column; 38] = [
            &c.time,
            &c.netns,
            &c.prefix,
            &c.family,
            &c.hook,
            &c.in_if,
            &c.out_if,
            &c.phys_in,
            &c.phys_out,
            &c.mac_src,
            &c.mac_dst,
            &c.ether_type,
            &c.vlan,
            &c.src,
            &c.dst,
            &c.proto,
            &c.sport,
            &c.dport,
            &c.length,
            &c.tos,
            &c.ttl,
            &c.ip_id,
            &c.frag,
            &c.tcp_flags,
            &c.tcp_seq,
            &c.tcp_ack,
            &c.tcp_window,
            &c.icmp_type,
            &c.icmp_code,
            &c.inner_proto,
            &c.inner_src,
            &c.inner_dst,
            &c.inner_sport,
            &c.inner_dport,
            &c.mark,
            &c.uid,
            &c.gid,
            &c.ct_state,
        ];
        for column in all {
            f(column);
        }
    }
}

/// What the end of a batch needs of a column, whatever it holds.
trait Column {
    fn is_used(&self) -> bool;
    fn bytes(&self) -> usize;
    fn finish(&mut self, rows: usize) -> ArrayRef;
}

const fn family_word(family: u8) -> &'static str {
    match family {
        nflog::NFPROTO_INET => "inet",
        nflog::NFPROTO_IPV4 => "ip",
        nflog::NFPROTO_ARP => "arp",
        nflog::NFPROTO_NETDEV => "netdev",
        nflog::NFPROTO_BRIDGE => "bridge",
        nflog::NFPROTO_IPV6 => "ip6",
        _ => "unknown",
    }
}

/// The word of a hook: its numbers are those of its family (include/uapi/linux/netfilter*.h).
const fn hook_word(family: u8, hook: u8) -> Option<&'static str> {
    Some(match (family, hook) {
        (nflog::NFPROTO_ARP, 0) => "input",
        (nflog::NFPROTO_ARP, 1) => "output",
        (nflog::NFPROTO_ARP, 2) => "forward",
        (nflog::NFPROTO_ARP, _) => return None,
        (nflog::NFPROTO_NETDEV, 0) => "ingress",
        (nflog::NFPROTO_NETDEV, 1) => "egress",
        (nflog::NFPROTO_NETDEV, _) => return None,
        (_, 0) => "prerouting",
        (_, 1) => "input",
        (_, 2) => "forward",
        (_, 3) => "output",
        (_, 4) => "postrouting",
        (nflog::NFPROTO_INET | nflog::NFPROTO_IPV4 | nflog::NFPROTO_IPV6, 5) => "ingress",
        _ => return None,
    })
}

/// The word of `enum ip_conntrack_info`; both directions are one state.
const fn ct_word(info: u32) -> Option<&'static str> {
    Some(match info {
        0 | 3 => "established",
        1 | 4 => "related",
        2 | 5 => "new",
        7 => "untracked",
        _ => return None,
    })
}

#[inline]
fn mac_number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

fn write_mac(text: &mut String, [a, b, c, d, e, f]: [u8; 6]) {
    let _ = write!(text, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
}
