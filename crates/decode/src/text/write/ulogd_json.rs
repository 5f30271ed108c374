use super::{Civil, Event, string};
use std::fmt::Write as _;

/// An object in the keys of ulogd2's JSON output, in its order, with its line feed.
pub fn write_json(out: &mut String, event: Event<'_>, offset: i32) {
    let time = event.time();
    let Civil { year, month, day, hour, minute, second, micros } = Civil::of(time, offset);
    let _ = write!(
        out,
        "{{\"timestamp\": \"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}\""
    );
    out.push_str(", \"dvc\": \"Netfilter\"");
    let mut object = Keys { out, event };
    object.put("raw.pktcount", Some(event.packets()));
    object.text("oob.prefix", event.text("prefix").unwrap_or_default());
    object.put("oob.time.sec", Some(time.0.div_euclid(1_000_000)));
    object.put("oob.time.usec", Some(time.0.rem_euclid(1_000_000)));
    object.put("oob.mark", Some(event.number("mark").unwrap_or(0)));
    object.put("oob.hook", event.text("hook").and_then(hook));
    object.put("oob.family", event.text("family").and_then(family));
    object.column("oob.protocol", "ether_type");
    object.column("oob.uid", "uid");
    object.column("oob.gid", "gid");
    object.headers();
    object.text("oob.in", event.text("in_if").unwrap_or_default());
    object.text("oob.out", event.text("out_if").unwrap_or_default());
    for (key, column) in [("src_ip", "src"), ("dest_ip", "dst")] {
        if let Some(address) = event.address(column) {
            object.text(key, &address.to_string());
        }
    }
    for (key, column) in [("mac.saddr.str", "mac_src"), ("mac.daddr.str", "mac_dst")] {
        if let Some(mac) = event.text(column) {
            object.text(key, mac);
        }
    }
    let mut header = String::new();
    event.mac_header(&mut header);
    if !header.is_empty() {
        object.text("mac.str", &header);
    }
    out.push_str("}\n");
}

struct Keys<'a, 'b> {
    out: &'a mut String,
    event: Event<'b>,
}

impl Keys<'_, '_> {
    fn put(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            let _ = write!(self.out, ", \"{key}\": {value}");
        }
    }

    fn column(&mut self, key: &str, column: &str) {
        self.put(key, self.event.number(column));
    }

    fn text(&mut self, key: &str, value: &str) {
        let _ = write!(self.out, ", \"{key}\": ");
        string(self.out, value.as_bytes());
    }

    fn headers(&mut self) {
        let event = self.event;
        let Some(proto) = event.proto() else { return };
        self.put("ip.protocol", Some(proto));
        if event.is_v6() {
            self.put("ip6.payloadlen", event.number("length").map(|l| l - 40));
            self.column("ip6.priority", "tos");
            self.column("ip6.hoplimit", "ttl");
            self.put("ip6.nexthdr", Some(proto));
            self.column("ip6.fragid", "ip_id");
        } else {
            self.column("ip.tos", "tos");
            self.column("ip.ttl", "ttl");
            self.column("ip.totlen", "length");
            self.column("ip.id", "ip_id");
            self.put("ip.fragoff", Some(event.frag()));
        }
        self.column("src_port", "sport");
        self.column("dest_port", "dport");
        match proto {
            6 => {
                for (key, column) in
                    [("tcp.seq", "tcp_seq"), ("tcp.ackseq", "tcp_ack"), ("tcp.window", "tcp_window")]
                {
                    self.column(key, column);
                }
                if let Some(flags) = event.number("tcp_flags") {
                    for (key, bit) in [("urg", 5), ("ack", 4), ("psh", 3), ("rst", 2), ("syn", 1), ("fin", 0)]
                    {
                        self.put(&format!("tcp.{key}"), Some(flags >> bit & 1));
                    }
                }
            }
            17 if event.number("sport").is_some() => self.put("udp.len", Some(event.udp_length())),
            1 | 58 => {
                let name = if proto == 1 { "icmp" } else { "icmpv6" };
                self.column(&format!("{name}.type"), "icmp_type");
                self.column(&format!("{name}.code"), "icmp_code");
            }
            _ => {}
        }
    }
}

/// The number of a hook in the families of packets.
fn hook(word: &str) -> Option<i64> {
    let words = ["prerouting", "input", "forward", "output", "postrouting"];
    words.iter().position(|w| *w == word).and_then(|n| i64::try_from(n).ok())
}

fn family(word: &str) -> Option<i64> {
    let numbers = [("inet", 1), ("ip", 2), ("arp", 3), ("netdev", 5), ("bridge", 7), ("ip6", 10)];
    numbers.iter().find(|(w, _)| *w == word).map(|(_, n)| *n)
}
