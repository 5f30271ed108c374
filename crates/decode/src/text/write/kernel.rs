use super::{Event, flag_words, fragment_bits, plain, syslog_head};
use std::fmt::Write as _;
use std::net::IpAddr;

/// A line as the kernel's LOG target writes it and syslog files it, with its line feed.
pub fn write_kernel(out: &mut String, event: Event<'_>, host: &str, offset: i32) {
    syslog_head(out, event.time(), offset, host);
    out.push_str("kernel: ");
    plain(out, event.text("prefix").unwrap_or_default());
    let in_if = event.text("in_if").unwrap_or_default();
    for (name, column) in [("IN", "in_if"), ("OUT", "out_if")] {
        let _ = write!(out, "{name}=");
        plain(out, event.text(column).unwrap_or_default());
        out.push(' ');
    }
    for (name, column) in [("PHYSIN", "phys_in"), ("PHYSOUT", "phys_out")] {
        if let Some(port) = event.text(column) {
            let _ = write!(out, "{name}=");
            plain(out, port);
            out.push(' ');
        }
    }
    if event.is_arp() {
        arp(out, event);
        out.push('\n');
        return;
    }
    if !in_if.is_empty() {
        out.push_str("MAC=");
        event.mac_header(out);
        out.push(' ');
    }
    packet(out, event);
    for (name, column) in [("UID", "uid"), ("GID", "gid")] {
        if let Some(number) = event.number(column) {
            let _ = write!(out, "{name}={number} ");
        }
    }
    if let Some(mark) = event.number("mark") {
        let _ = write!(out, "MARK=0x{mark:x} ");
    }
    out.push('\n');
}

fn arp(out: &mut String, event: Event<'_>) {
    let operation = event.number("icmp_type").unwrap_or(0);
    let _ = write!(out, "ARP HTYPE=1 PTYPE=0x0800 OPCODE={operation}");
    if let (Some(src), Some(dst)) = (event.address("src"), event.address("dst")) {
        let mac = event.text("mac_src").unwrap_or("00:00:00:00:00:00");
        let _ = write!(out, " MACSRC={mac} IPSRC={src} MACDST=00:00:00:00:00:00 IPDST={dst}");
    }
}

fn packet(out: &mut String, event: Event<'_>) {
    let number = |column| event.number(column).unwrap_or(0);
    let (Some(src), Some(dst)) = (event.address("src"), event.address("dst")) else { return };
    addresses(out, src, dst);
    let length = number("length");
    if event.is_v6() {
        let (class, hops) = (number("tos"), number("ttl"));
        let _ = write!(out, "LEN={length} TC={class} HOPLIMIT={hops} FLOWLBL=0 ");
        if let Some(id) = event.number("ip_id") {
            let more = if event.frag() & 0x2000 == 0 { "" } else { "INCOMPLETE " };
            let _ = write!(out, "FRAG:{} {more}ID:{id:08x} ", (event.frag() & 0x1fff) << 3);
        }
    } else {
        let tos = number("tos");
        let _ = write!(out, "LEN={length} TOS=0x{:02X} PREC=0x{:02X} ", tos & 0x1e, tos & 0xe0);
        let _ = write!(out, "TTL={} ID={} ", number("ttl"), number("ip_id"));
        fragment_bits(out, event.frag());
    }
    carried(out, event);
}

/// IPv6 in its long form.
fn addresses(out: &mut String, src: IpAddr, dst: IpAddr) {
    for (name, address) in [("SRC", src), ("DST", dst)] {
        let _ = match address {
            IpAddr::V4(v4) => write!(out, "{name}={v4} "),
            IpAddr::V6(v6) => {
                let _ = write!(out, "{name}=");
                for (i, group) in v6.segments().iter().enumerate() {
                    let _ = write!(out, "{}{group:04x}", if i == 0 { "" } else { ":" });
                }
                write!(out, " ")
            }
        };
    }
}

fn carried(out: &mut String, event: Event<'_>) {
    let number = |column| event.number(column).unwrap_or(0);
    let ports = event.number("sport").zip(event.number("dport"));
    let proto = event.proto();
    match proto {
        Some(6) => out.push_str("PROTO=TCP "),
        Some(17) => out.push_str("PROTO=UDP "),
        Some(136) => out.push_str("PROTO=UDPLITE "),
        Some(1) if !event.is_v6() => out.push_str("PROTO=ICMP "),
        Some(58) if event.is_v6() => out.push_str("PROTO=ICMPv6 "),
        Some(50) => out.push_str("PROTO=ESP "),
        Some(51) => out.push_str("PROTO=AH "),
        Some(other) => _ = write!(out, "PROTO={other} "),
        None => {}
    }
    if event.later_fragment() {
        return;
    }
    match (proto, ports) {
        (Some(6), Some((sport, dport))) => {
            let _ = write!(out, "SPT={sport} DPT={dport} WINDOW={} RES=0x00 ", number("tcp_window"));
            let words = [(256, "AE "), (128, "CWR "), (64, "ECE "), (32, "URG "), (16, "ACK "), (8, "PSH ")];
            flag_words(out, number("tcp_flags"), &words);
            flag_words(out, number("tcp_flags"), &[(4, "RST "), (2, "SYN "), (1, "FIN ")]);
            out.push_str("URGP=0 ");
        }
        (Some(17 | 136), Some((sport, dport))) => {
            let _ = write!(out, "SPT={sport} DPT={dport} LEN={} ", event.udp_length());
        }
        _ => {}
    }
    if let Some(kind) = event.number("icmp_type") {
        let _ = write!(out, "TYPE={kind} CODE={} ", number("icmp_code"));
        quoted(out, event);
    }
}

/// The packet that an ICMP error quotes.
fn quoted(out: &mut String, event: Event<'_>) {
    let (Some(src), Some(dst)) = (event.address("inner_src"), event.address("inner_dst")) else { return };
    out.push('[');
    addresses(out, src, dst);
    match event.number("inner_proto") {
        Some(6) => out.push_str("PROTO=TCP "),
        Some(17) => out.push_str("PROTO=UDP "),
        Some(other) => _ = write!(out, "PROTO={other} "),
        None => {}
    }
    for (name, column) in [("SPT", "inner_sport"), ("DPT", "inner_dport")] {
        if let Some(port) = event.number(column) {
            let _ = write!(out, "{name}={port} ");
        }
    }
    out.push_str("] ");
}
