use super::{Event, flag_words, fragment_bits, plain, syslog_head};
use std::fmt::Write as _;

/// A line as ulogd2's LOGEMU writes it, with its line feed. `offset`: seconds of local time ahead of UTC.
pub fn write_logemu(out: &mut String, event: Event<'_>, host: &str, offset: i32) {
    syslog_head(out, event.time(), offset, host);
    plain(out, event.text("prefix").unwrap_or_default());
    out.push_str(" IN=");
    plain(out, event.text("in_if").unwrap_or_default());
    out.push_str(" OUT=");
    plain(out, event.text("out_if").unwrap_or_default());
    out.push_str(" MAC=");
    event.mac_header(out);
    out.push(' ');
    for (name, column) in [("SRC", "src"), ("DST", "dst")] {
        if let Some(address) = event.address(column) {
            let _ = write!(out, "{name}={address} ");
        }
    }
    packet(out, event);
    for (name, column) in [("UID", "uid"), ("GID", "gid")] {
        if let Some(number) = event.number(column) {
            let _ = write!(out, "{name}={number} ");
        }
    }
    let _ = writeln!(out, "MARK=0x{:x} ", event.number("mark").unwrap_or(0));
}

fn packet(out: &mut String, event: Event<'_>) {
    let number = |column| event.number(column).unwrap_or(0);
    if event.is_arp() {
        out.push_str("PROTO=ARP ");
        match number("icmp_type") {
            1 => out.push_str("REQUEST "),
            2 => out.push_str("REPLY "),
            10 => out.push_str("NAK "),
            code => _ = write!(out, "CODE={code} "),
        }
        if let Some(mac) = event.text("mac_src").filter(|_| number("icmp_type") == 2) {
            let _ = write!(out, "REPLY_MAC={mac} ");
        }
    } else if event.address("src").is_none() {
        let _ = write!(out, "PROTO={} ", number("ether_type"));
    } else if event.is_v6() {
        let (length, class, hops) = (number("length"), number("tos"), number("ttl"));
        let _ = write!(out, "LEN={length} TC={class} HOPLIMIT={hops} FLOWLBL=0 ");
        if let Some(id) = event.number("ip_id") {
            let _ = write!(out, "FRAG: {} ID: {id:08x} ", (event.frag() & 0x1fff) << 3);
        }
        carried(out, event);
    } else {
        let (length, tos) = (number("length"), number("tos"));
        let _ = write!(out, "LEN={length} TOS={:02X} PREC=0x{:02X} ", tos & 0x1e, tos & 0xe0);
        let _ = write!(out, "TTL={} ID={} ", number("ttl"), number("ip_id"));
        fragment_bits(out, event.frag());
        carried(out, event);
    }
}

fn carried(out: &mut String, event: Event<'_>) {
    let number = |column| event.number(column).unwrap_or(0);
    let ports = event.number("sport").zip(event.number("dport"));
    match (event.proto(), ports) {
        (Some(6), Some((sport, dport))) => {
            let _ = write!(out, "PROTO=TCP SPT={sport} DPT={dport} ");
            let (seq, ack, window) = (number("tcp_seq"), number("tcp_ack"), number("tcp_window"));
            let _ = write!(out, "SEQ={seq} ACK={ack} WINDOW={window} ");
            let words = [(32, "URG "), (16, "ACK "), (8, "PSH "), (4, "RST "), (2, "SYN "), (1, "FIN ")];
            flag_words(out, number("tcp_flags"), &words);
            out.push_str("URGP=0 ");
        }
        (Some(17), Some((sport, dport))) => {
            let _ = write!(out, "PROTO=UDP SPT={sport} DPT={dport} LEN={} ", event.udp_length());
        }
        (Some(132), Some((sport, dport))) => _ = write!(out, "PROTO=SCTP SPT={sport} DPT={dport} "),
        (Some(proto @ (6 | 17 | 132)), None) => {
            let name = [(6, "TCP"), (17, "UDP"), (132, "SCTP")]
                .iter()
                .find(|(n, _)| *n == proto)
                .map_or("", |n| n.1);
            let _ = write!(out, "PROTO={name} INCOMPLETE");
        }
        (Some(50), _) => out.push_str("PROTO=ESP INCOMPLETE"),
        (Some(51), _) => out.push_str("PROTO=AH INCOMPLETE"),
        (Some(proto @ (1 | 58)), _) if (proto == 58) == event.is_v6() => {
            out.push_str(if proto == 1 { "PROTO=ICMP " } else { "PROTO=ICMPv6 " });
            match event.number("icmp_type") {
                Some(kind) => _ = write!(out, "TYPE={kind} CODE={} ", number("icmp_code")),
                None => out.push_str("INCOMPLETE"),
            }
        }
        (proto, _) => _ = write!(out, "PROTO={} ", proto.unwrap_or(0)),
    }
}
