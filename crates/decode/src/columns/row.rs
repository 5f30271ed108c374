use super::object::Object;
use super::payload::Wanted;
use super::words::{ct_word, family_word, hook_word};
use super::{At, Columns, InterfaceNames, MAX_PREFIX};
use crate::netlink::until_nul;
use crate::nflog::{Link, NflogPacket};
use crate::packet::{Fields, Icmp, Ports, Tcp, Upper};
use bartizan_model::Micros;
use std::fmt::Write as _;

/// One row while it is written: which columns it has.
pub(super) struct Row<'a> {
    pub(super) columns: &'a mut Columns,
    pub(super) row: usize,
    pub(super) present: u64,
}

/// Writes a column of the row and marks it as present.
macro_rules! put {
    ($row:ident, $column:ident $(, $value:expr)+) => {{
        $row.columns.$column.put($row.row $(, $value)+);
        $row.present |= 1 << At::$column as u32;
    }};
}
pub(super) use put;

impl<'a> Row<'a> {
    #[inline]
    pub(super) const fn new(columns: &'a mut Columns, row: usize) -> Self {
        Self { columns, row, present: 0 }
    }

    /// A bit for each column that was written.
    #[inline]
    pub(super) const fn present(&self) -> u64 {
        self.present
    }

    #[inline(always)]
    pub(super) fn time(&mut self, time: Micros) {
        put!(self, time, time.0);
    }

    pub(super) fn netns(&mut self, name: &str) {
        put!(self, netns, name.as_bytes());
    }

    #[inline(always)]
    pub(super) fn meta(&mut self, p: &NflogPacket<'_>) {
        put!(self, family, u64::from(p.family), |text| text.push_str(family_word(p.family)));
        if let Some(hook) = p.hook
            && let Some(word) = hook_word(p.family, hook)
        {
            put!(self, hook, u64::from(p.family) << 8 | u64::from(hook), |text| text.push_str(word));
        }
        if let Some(prefix) = p.prefix
            && prefix.first().is_some_and(|b| *b != 0)
        {
            put!(self, prefix, &prefix[..prefix.len().min(MAX_PREFIX)]);
        }
        if let Some(mark) = p.mark
            && mark != 0
        {
            put!(self, mark, i64::from(mark));
        }
        if let Some(uid) = p.uid {
            put!(self, uid, i64::from(uid));
        }
        if let Some(gid) = p.gid {
            put!(self, gid, i64::from(gid));
        }
        if let Some(info) = p.ct_info
            && let Some(word) = ct_word(info)
        {
            put!(self, ct_state, u64::from(info), |text| text.push_str(word));
        }
    }

    #[inline(always)]
    pub(super) fn interfaces(
        &mut self,
        p: &NflogPacket<'_>,
        names: &InterfaceNames,
        unknown: &mut Option<u32>,
    ) {
        let mut name = |index: u32, text: &mut String| match names.name(index) {
            Some(name) => text.push_str(name),
            None => {
                *unknown = Some(index);
                let _ = write!(text, "{index}");
            }
        };
        if let Some(index) = p.in_dev {
            put!(self, in_if, u64::from(index), |text| name(index, text));
        }
        if let Some(index) = p.out_dev {
            put!(self, out_if, u64::from(index), |text| name(index, text));
        }
        if let Some(index) = p.phys_in_dev {
            put!(self, phys_in, u64::from(index), |text| name(index, text));
        }
        if let Some(index) = p.phys_out_dev {
            put!(self, phys_out, u64::from(index), |text| name(index, text));
        }
    }

    #[inline(always)]
    pub(super) fn link(&mut self, link: &Link) {
        if let Some(mac) = link.mac_src {
            put!(self, mac_src, mac.number(), |text| _ = write!(text, "{mac}"));
        }
        if let Some(mac) = link.mac_dst {
            put!(self, mac_dst, mac.number(), |text| _ = write!(text, "{mac}"));
        }
        if let Some(ether_type) = link.ether_type {
            put!(self, ether_type, i32::from(ether_type));
        }
        if let Some(vlan) = link.vlan {
            put!(self, vlan, i32::from(vlan));
        }
    }

    /// The first bytes of the packet, where its prefix is one that is wanted.
    #[cold]
    #[inline(never)]
    pub(super) fn payload(&mut self, p: &NflogPacket<'_>, wanted: &mut Wanted) {
        let Some(packet) = p.network_packet() else { return };
        let kept = &packet[..packet.len().min(wanted.bytes)];
        if wanted.takes(until_nul(p.prefix.unwrap_or_default())) && self.columns.payload.put(self.row, kept) {
            self.present |= 1 << At::payload as u32;
        }
    }

    /// What conntrack knows of the packet.
    #[cold]
    #[inline(never)]
    pub(super) fn conntrack(&mut self, p: &NflogPacket<'_>) {
        let Some(flow) = p.conntrack() else { return };
        let mut text = String::new();
        let mut object = Object::new(&mut text);
        object.open("ct");
        if let Some(id) = flow.id {
            object.number("id", id.into());
        }
        if let Some(mark) = flow.mark.filter(|m| *m != 0) {
            object.number("mark", mark.into());
        }
        if let Some(zone) = flow.zone.filter(|z| *z != 0) {
            object.number("zone", zone.into());
        }
        if let Some(status) = flow.status {
            object.number("status", status.into());
        }
        if let Some(labels) = flow.labels() {
            object.hex("labels", labels);
        }
        object.close();
        object.end();
        put!(self, extra, text.as_bytes());
    }

    #[inline(always)]
    fn ports(&mut self, ports: Ports) {
        if let Some(port) = ports.source {
            put!(self, sport, i32::from(port));
        }
        if let Some(port) = ports.destination {
            put!(self, dport, i32::from(port));
        }
    }

    #[inline(always)]
    fn tcp(&mut self, tcp: &Tcp) {
        self.ports(tcp.ports);
        if let Some(seq) = tcp.seq {
            put!(self, tcp_seq, i64::from(seq));
        }
        if let Some(ack) = tcp.ack {
            put!(self, tcp_ack, i64::from(ack));
        }
        // 9 bits
        if let Some(flags) = tcp.flags {
            put!(self, tcp_flags, flags.cast_signed());
        }
        if let Some(window) = tcp.window {
            put!(self, tcp_window, i32::from(window));
        }
    }

    #[inline(never)]
    fn icmp(&mut self, icmp: &Icmp) {
        if let Some(kind) = icmp.kind {
            put!(self, icmp_type, i16::from(kind));
        }
        if let Some(code) = icmp.code {
            put!(self, icmp_code, i16::from(code));
        }
        let Some(quoted) = &icmp.quoted else { return };
        if let Some(proto) = quoted.proto {
            put!(self, inner_proto, i16::from(proto));
        }
        if let Some(src) = quoted.src {
            put!(self, inner_src, i128::from_ne_bytes(src));
        }
        if let Some(dst) = quoted.dst {
            put!(self, inner_dst, i128::from_ne_bytes(dst));
        }
        if let Some(port) = quoted.ports.source {
            put!(self, inner_sport, i32::from(port));
        }
        if let Some(port) = quoted.ports.destination {
            put!(self, inner_dport, i32::from(port));
        }
    }
}

impl Fields for Row<'_> {
    #[inline(always)]
    fn src(&mut self, src: [u8; 16]) {
        put!(self, src, i128::from_ne_bytes(src));
    }
    #[inline(always)]
    fn dst(&mut self, dst: [u8; 16]) {
        put!(self, dst, i128::from_ne_bytes(dst));
    }
    #[inline(always)]
    fn proto(&mut self, proto: u8) {
        put!(self, proto, i16::from(proto));
    }
    #[inline(always)]
    fn length(&mut self, length: u32) {
        // at most 40 + 65535
        put!(self, length, length.cast_signed());
    }
    #[inline(always)]
    fn tos(&mut self, tos: u8) {
        put!(self, tos, i16::from(tos));
    }
    #[inline(always)]
    fn ttl(&mut self, ttl: u8) {
        put!(self, ttl, i16::from(ttl));
    }
    #[inline(always)]
    fn id(&mut self, id: u32) {
        put!(self, ip_id, i64::from(id));
    }
    #[inline(always)]
    fn frag(&mut self, frag: u16) {
        if frag != 0 {
            put!(self, frag, i32::from(frag));
        }
    }
    #[inline(always)]
    fn upper(&mut self, upper: &Upper) {
        match upper {
            Upper::None => {}
            Upper::Ports(ports) => self.ports(*ports),
            Upper::Tcp(tcp) => self.tcp(tcp),
            Upper::Icmp(icmp) => self.icmp(icmp),
            // an operation over 32767 was never assigned, and the column has no room for it
            Upper::Arp(operation) => {
                if let Ok(operation) = i16::try_from(*operation) {
                    put!(self, icmp_type, operation);
                }
            }
        }
    }
}
