//! The fuzz corpus as a test: every file of `fuzz/corpus/<target>` through the check of that name. The inputs
//! that we make ourselves are written by `BARTIZAN_WRITE_SEEDS=1`.

use crate::{build, checks};
use std::path::PathBuf;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 11] = [
    ("nflog_datagram", checks::nflog_datagram),
    ("ipv4", checks::ipv4),
    ("ipv6", checks::ipv6),
    ("ethernet_arp", checks::ethernet_arp),
    ("netlink_attrs", checks::netlink_attrs),
    ("conntrack_datagram", checks::conntrack_datagram),
    ("nftables_datagram", checks::nftables_datagram),
    ("nftables_elements", checks::nftables_elements),
    ("text_line", checks::text_line),
    ("kmsg_record", checks::kmsg_record),
    ("journal_export", checks::journal_export),
];

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

#[test]
fn the_corpus_passes() {
    if std::env::var_os("BARTIZAN_WRITE_SEEDS").is_some() {
        write_seeds();
    }
    for (target, check) in TARGETS {
        let mut files = 0;
        for entry in std::fs::read_dir(folder(target)).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files >= 3, "{target} has {files} inputs");
    }
}

fn write_seeds() {
    for (target, name, bytes) in seeds().into_iter().chain(seeds_of_answers()) {
        std::fs::create_dir_all(folder(target)).unwrap();
        std::fs::write(folder(target).join(name), bytes).unwrap();
    }
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (a, b) = ([192, 0, 2, 1], [198, 51, 100, 7]);
    let (a6, b6) = ([0x20; 16], [0xfd; 16]);
    let tcp = build::ipv4(a, b, 6, 7, &build::tcp_syn(40000, 22, 1));
    let udp = build::ipv4(a, b, 17, 8, &build::udp(53, 5353, b"payload"));
    let unreachable = build::ipv4(b, a, 1, 9, &build::icmp(3, 3, &udp));
    let mut options = udp.clone();
    options[0] = 0x47;
    options.splice(20..20, [1, 1, 1, 0, 1, 1, 1, 0]);
    let mut later = udp.clone();
    later[7] = 0xb9;
    let tcp6 = build::ipv6(a6, b6, 6, &build::tcp_syn(40000, 443, 1));
    let chain =
        [&[60u8, 0, 1, 4, 0, 0, 0, 0][..], &[44, 0, 1, 4, 0, 0, 0, 0], &[17, 0, 0, 1, 0, 0, 0, 9]].concat();
    let chain = build::ipv6(a6, b6, 0, &[&chain[..], &build::udp(1, 2, b"x")].concat());
    let auth =
        build::ipv6(a6, b6, 51, &[&[58u8, 4, 0, 0][..], &[0; 20], &build::icmp(128, 0, b"ping")].concat());
    let too_big = build::ipv6(b6, a6, 58, &build::icmp(2, 0, &tcp6));
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 1, 1, 1, 1, 1, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2].to_vec();
    let frame = |types: &[u16], body: &[u8]| {
        let mut f = vec![0x52; 12];
        types.iter().for_each(|t| f.extend(t.to_be_bytes()));
        f.extend(body);
        f
    };
    let nested = build::attr(0x8000 | 20, &[build::be16(1, 0x8100), build::be16(2, 0x2064)].concat());
    let bridge = build::message(
        7,
        9,
        &[
            build::packet_hdr(0x0806, 2),
            build::be32(6, 3),
            build::be32(7, 4),
            nested.clone(),
            build::attr(21, &frame(&[0x0806], &[])),
            build::attr(9, &arp),
        ],
    );
    let egress =
        build::message(5, 9, &[build::packet_hdr(0x0800, 1), build::attr(9, &frame(&[0x0800], &tcp))]);
    let output = build::message(
        10,
        1,
        &[
            build::packet_hdr(0x86dd, 3),
            build::prefix("out: "),
            build::be32(5, 2),
            build::be32(2, 0xdead),
            build::be32(11, 1000),
            build::be32(14, 100),
            build::be32(19, 2),
            build::attr(9, &too_big),
        ],
    );
    let input = build::input(2, "drop: ", 1, &tcp);
    let line = |n: usize| crate::text::format::LINES[n].0.as_bytes().to_vec();
    let kmsg = |head: &str, n: usize| [head.as_bytes(), &line(n), b"\n SUBSYSTEM=net\n"].concat();
    let journal = [
        b"__CURSOR=s=1;i=2\n_TRANSPORT=kernel\nMESSAGE=".to_vec(),
        line(2),
        b"\n\n__CURSOR=s=1;i=3\nMESSAGE\n".to_vec(),
        9_u64.to_le_bytes().to_vec(),
        b"two\nlines\n\n".to_vec(),
    ]
    .concat();
    vec![
        ("text_line", "tcp", line(0)),
        ("text_line", "spoofed-prefix", line(1)),
        ("text_line", "log-file", line(2)),
        ("text_line", "ipv6-fragment", line(4)),
        ("text_line", "icmp-error", line(8)),
        ("text_line", "arp", line(20)),
        (
            "text_line",
            "headless",
            b"L=126 ID=7 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 SYN URGP=0".to_vec(),
        ),
        (
            "text_line",
            "repeated",
            [&b"<4>Jan  8 03:37:09 gw kernel: message repeated 3 times: [ "[..], &line(0), b"]"].concat(),
        ),
        (
            "text_line",
            "rfc5424",
            [&b"<4>1 2024-01-08T03:37:09Z gw kernel - - [a b=\"]\"] "[..], &line(0)].concat(),
        ),
        ("kmsg_record", "udp", kmsg("4,1234,5678901,-,caller=T1;", 2)),
        ("kmsg_record", "escaped", b"4,1,2,-;a\\x1b[31m IN=a OUT= MAC= \\\n".to_vec()),
        ("kmsg_record", "fragment", kmsg("12,1,2,c;", 0)),
        ("journal_export", "entries", journal.clone()),
        ("journal_export", "cut", journal[..journal.len() - 5].to_vec()),
        ("journal_export", "empty-lines", [&b"\n\nA=1\n\n\n"[..], &journal].concat()),
        ("nflog_datagram", "input-tcp", input.clone()),
        ("nflog_datagram", "several", [input.clone(), output.clone(), bridge.clone()].concat()),
        ("nflog_datagram", "bridge-arp", bridge),
        ("nflog_datagram", "netdev-egress", egress),
        ("nflog_datagram", "output-cut", output[..output.len() - 3].to_vec()),
        ("ipv4", "tcp", tcp.clone()),
        ("ipv4", "unreachable", unreachable),
        ("ipv4", "options", options),
        ("ipv4", "later-fragment", later),
        ("ipv6", "tcp", tcp6.clone()),
        ("ipv6", "chain", chain),
        ("ipv6", "auth", auth),
        ("ipv6", "too-big", too_big),
        ("ethernet_arp", "arp", frame(&[0x0806], &arp)),
        ("ethernet_arp", "arp-alone", arp),
        ("ethernet_arp", "stacked-tags", frame(&[0x88a8, 10, 0x8100, 20, 0x86dd], &tcp6)),
        ("netlink_attrs", "flat", [build::prefix("x"), build::be32(12, 1)].concat()),
        ("netlink_attrs", "nested", nested),
        ("netlink_attrs", "message", input),
    ]
}

/// What conntrack, nf_tables and nfnetlink_acct send.
fn seeds_of_answers() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    use build::{attr, be16, be32};
    let be64 = |kind, value: u64| attr(kind, &value.to_be_bytes());
    let nest = |kind: u16, attrs: &[Vec<u8>]| attr(0x8000 | kind, &attrs.concat());
    let message = |kind: u16, flags: u16, family: u8, attrs: &[Vec<u8>]| {
        let mut m = build::message(family, 0, attrs);
        m[4..6].copy_from_slice(&kind.to_ne_bytes());
        m[6..8].copy_from_slice(&flags.to_ne_bytes());
        m
    };
    let tuple = |kind, from: u8, to: u8, l4: &[Vec<u8>]| {
        nest(kind, &[nest(1, &[attr(1, &[10, 0, 0, from]), attr(2, &[10, 0, 0, to])]), nest(2, l4)])
    };
    let tcp = |from, to| vec![attr(1, &[6]), be16(2, from), be16(3, to)];
    let echo = vec![attr(1, &[1]), be16(4, 77), attr(5, &[8]), attr(6, &[0])];
    let traffic = [be64(1, 3), be64(2, 180)];
    let end = message(
        0x102,
        0,
        2,
        &[
            tuple(1, 1, 2, &tcp(40000, 80)),
            tuple(2, 9, 3, &tcp(8080, 40000)),
            be32(3, 0x18e),
            nest(4, &[nest(1, &[attr(1, &[7])])]),
            be32(8, 5),
            nest(9, &traffic),
            nest(10, &traffic),
            be32(12, 0xfedc_ba98),
            be16(18, 9),
            nest(20, &[be64(1, 1_700_000_000_000_000_000), be64(2, 1_700_000_001_000_000_000)]),
            attr(22, &[1; 16]),
            be64(27, 1_700_000_001_000_000_001),
        ],
    );
    let six = nest(1, &[attr(3, &[0x20; 16]), attr(4, &[0xfd; 16])]);
    let begin =
        message(0x100, 0x600, 10, &[nest(1, &[six, nest(2, &tcp(1, 2))]), nest(5, &[attr(1, b"ftp\0")])]);
    let dump = message(0x100, 2, 2, &[tuple(1, 1, 2, &echo), tuple(2, 2, 1, &echo)]);
    let counter = |bytes| nest(1, &[attr(1, b"counter\0"), nest(2, &[be64(1, bytes), be64(2, 1)])]);
    let log = nest(1, &[attr(1, b"log\0"), nest(2, &[be16(1, 7), attr(2, b"drop: \0")])]);
    let named = [attr(1, b"filter\0"), attr(2, b"input\0"), be64(3, 9)];
    let rule = message(0xa06, 2, 1, &[&named[..], &[nest(4, &[counter(60), log])]].concat());
    let generation = message(0xa0f, 0, 0, &[be32(1, 7), be32(2, 4711), attr(3, b"nft\0")]);
    let object = [attr(1, b"f\0"), attr(2, b"total\0"), be32(3, 1), nest(4, &traffic), be64(6, 3)];
    let object = message(0xa12, 2, 1, &object);
    let chain = [attr(1, b"f\0"), be64(2, 1), attr(3, b"INPUT\0"), nest(8, &traffic)];
    let chain = message(0xa03, 2, 2, &chain);
    let set = [attr(1, b"f\0"), attr(2, b"s\0"), be32(3, 0x24), be32(4, 7), be32(5, 4)];
    let set = message(0xa09, 2, 1, &set);
    let account = message(0x700, 2, 0, &[attr(1, b"web\0"), be64(2, 4), be64(3, 400)]);
    let key = |kind, bytes: &[u8]| nest(kind, &[attr(1, bytes)]);
    let elements = |kind: u32, len: u32, interval: u8, elements: &[Vec<u8>]| {
        let list: Vec<_> = elements.iter().map(|e| nest(1, std::slice::from_ref(e))).collect();
        [&kind.to_ne_bytes()[..], &len.to_ne_bytes(), &[interval, 1, 0, 0, 0], &nest(3, &list)].concat()
    };
    let counts = nest(7, &[attr(1, b"counter\0"), nest(2, &traffic)]);
    let start = [key(1, &[10, 0, 0, 0]), counts.clone()].concat();
    let stop = [key(1, &[10, 1, 0, 0]), be32(3, 1)].concat();
    let fields =
        [key(1, &[10, 0, 0, 0, 0, 80, 0, 0]), key(10, &[10, 0, 0, 255, 0, 90, 0, 0]), counts.clone()];
    let name = [key(1, b"eth\0\0\0\0\0\0\0\0\0\0\0\0\0"), counts].concat();
    vec![
        ("conntrack_datagram", "end", end.clone()),
        ("conntrack_datagram", "begin", begin.clone()),
        ("conntrack_datagram", "several", [end, begin, dump].concat()),
        ("nftables_datagram", "rule", rule.clone()),
        ("nftables_datagram", "generation", generation.clone()),
        ("nftables_datagram", "object", object.clone()),
        ("nftables_datagram", "all", [generation, object, chain, set, account, rule.clone()].concat()),
        ("nftables_elements", "interval", elements(7, 4, 1, &[start, stop])),
        ("nftables_elements", "fields", elements(7 << 6 | 13, 8, 1, &[fields.concat()])),
        ("nftables_elements", "name", elements(41, 16, 1, &[name])),
        ("log_rules", "rule", rule),
    ]
}
