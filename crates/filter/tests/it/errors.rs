//! What is wrong with what people write, and what is proposed instead.

use crate::check;
use bartizan_filter::{Filter, FilterError};

fn fails(text: &str) -> FilterError {
    check::any_text(text);
    match Filter::parse(text, &check::context()) {
        Ok(filter) => panic!("{text:?} is a filter: {filter}"),
        Err(error) => error,
    }
}

/// Text, what is marked, message, proposal (empty for none).
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("dprot:22", "dprot", "unknown field `dprot`", "dport:22"),
    ("DPROT:22 src:10.0.0.1", "DPROT", "unknown field `DPROT`", "dport:22 src:10.0.0.1"),
    ("banana:1", "banana", "unknown field `banana`; quote it to search for the text", "\"banana:1\""),
    ("srcip:10.0.0.1", "srcip", "unknown field `srcip`", "src:10.0.0.1"),
    ("ip.addr:10.0.0.1", "ip.addr", "unknown field `ip.addr`", "ip:10.0.0.1"),
    ("protocol:tcp", "protocol", "unknown field `protocol`", "proto:tcp"),
    ("time:12:30", "time:12:30", "time is not part of a filter: use the time picker or --since and --until", ""),
    ("NOT:dport:22", "NOT", "unknown field `NOT`", "NOT dport:22"),
    ("dport=22", "dport=", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:22"),
    ("dport==22", "dport==", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:22"),
    ("dport != 22", "dport !=", "a comparison is written `dport:value`, its opposite `-dport:value`", "-dport:22"),
    ("dport!=22", "dport!=", "a comparison is written `dport:value`, its opposite `-dport:value`", "-dport:22"),
    ("dport > 1024", "dport >", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:>1024"),
    ("dport>=1024", "dport>=", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:>=1024"),
    ("dport = 22 src:10.0.0.1", "dport =", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:22 src:10.0.0.1"),
    ("src =10.0.0.1", "src =", "a comparison is written `src:value`, its opposite `-src:value`", "src:10.0.0.1"),
    ("prefix=~\"x\"", "prefix=~", "a comparison is written `prefix:value`, its opposite `-prefix:value`", "prefix:~\"x\""),
    ("SRC=10.0.0.1", "SRC=", "a comparison is written `src:value`, its opposite `-src:value`", "src:10.0.0.1"),
    ("DPT=22", "DPT=", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:22"),
    ("foo=bar", "foo=bar", "`foo=bar` is not a term; quote it to search for the text", "\"foo=bar\""),
    ("dport 22", "dport", "`dport` is a field and needs a colon and a value; quote it to search for the text", "dport:22"),
    ("src 10.0.0.1", "src", "`src` is a field and needs a colon and a value; quote it to search for the text", "src:10.0.0.1"),
    ("host", "host", "`host` is a field and needs a colon and a value; quote it to search for the text", "\"host\""),
    ("dport : 22", "dport :", "a comparison is written `dport:value`, its opposite `-dport:value`", "dport:22"),
    ("dport: 22", "dport:", "`dport:` needs a value, or * for any", "dport:22"),
    ("dport:", "dport:", "`dport:` needs a value, or * for any", "dport:*"),
    ("dport:22,", ",", "a value is missing after the comma", "dport:22"),
    ("dport:22, 80", ",", "a list has no spaces", "dport:22,80"),
    ("dport:22 ,80", ",", "a comma stands directly between two values of a field", "dport:22,80"),
    ("dport:22 80", "80", "that is a port list: dport:22,80", "dport:22,80"),
    ("dport:22 80-90", "80-90", "that is a port list: dport:22,80-90", "dport:22,80-90"),
    ("proto:6 17", "17", "that is a list: proto:6,17", "proto:6,17"),
    ("dport:{22,80}", "{22,80}", "a list is written `dport:a,b`", "dport:22,80"),
    ("dport:{ 22, 80 }", "{ 22, 80 }", "a list is written `dport:a,b`", "dport:22,80"),
    ("dport:(22 OR 80)", "(22 OR 80)", "a list is written `dport:a,b`", "dport:22,80"),
    ("src:(10.0.0.1 10.0.0.2)", "(10.0.0.1 10.0.0.2)", "a list is written `src:a,b`", "src:10.0.0.1,10.0.0.2"),
    ("dport:!22", "!22", "the sign of negation stands before the field", "-dport:22"),
    ("-dport:!22", "!22", "the sign of negation stands before the field", "--dport:22"),
    ("host:!web", "!web", "the sign of negation stands before the field", "-host:web"),
    ("dport:=22", "=22", "the colon already says `equal`", "dport:22"),
    ("dport:70000", "70000", "`dport` goes from 0 to 65535; `70000` is beyond", "dport:7000"),
    ("dport:1000-70000", "1000-70000", "`dport` ends at 65535, not at 70000", "dport:1000-65535"),
    ("dport:>70000", ">70000", "`dport` goes from 0 to 65535; `>70000` is beyond", "dport:>7000"),
    ("dport:90-80", "90-80", "the range `90-80` ends before it starts", "dport:80-90"),
    ("dport:1000:2000", "1000:2000", "a range is written `dport:1-9`", "dport:1000-2000"),
    ("dport:1024:", "1024:", "a range is written `dport:1-9`", "dport:>=1024"),
    ("dport::1024", ":1024", "a range is written `dport:1-9`", "dport:<=1024"),
    ("dport:80..90", "80..90", "a range is written `dport:1-9`", "dport:80-90"),
    ("dport:1024+", "1024+", "`at least` is written `dport:>=9`", "dport:>=1024"),
    ("dport:-5", "-5", "no value of `dport` is below 0", "dport:5"),
    ("dport:<0", "<0", "no value of `dport` is below 0", ""),
    ("dport:>", ">", "a number is missing after `>`", ""),
    ("dport:=>80", "=>80", "the comparison is written `>=`", "dport:>=80"),
    ("dport:8*", "8*", "`dport` is a number and takes no wildcards; use a range, as `dport:80-89`", ""),
    ("dport:22/tcp", "22/tcp", "port and protocol are two terms", "dport:22 proto:tcp"),
    ("-dport:22/tcp", "22/tcp", "port and protocol are two terms", "-(dport:22 proto:tcp)"),
    ("dport:22/tcp,80", "22/tcp", "port and protocol are two terms", ""),
    ("dport:22;80", "22;80", "values of a list are separated by commas", "dport:22,80"),
    ("dport:shh", "shh", "`shh` is not a port or a known service", "dport:ssh"),
    ("dport:tcp", "tcp", "`tcp` is a protocol, not a port", "proto:tcp"),
    ("dport:banana", "banana", "`banana` is not a port or a known service", ""),
    ("dport:\"22\"", "\"22\"", "`dport` takes no text", "dport:22"),
    ("dport:~\"22\"", "~\"22\"", "regular expressions are for text; `dport` is none", ""),
    ("proto:tpc", "tpc", "`tpc` is not a known protocol", "proto:tcp"),
    ("proto:https", "https", "`https` is a service, not a protocol", "port:https"),
    ("proto:300", "300", "`proto` goes from 0 to 255; `300` is beyond", ""),
    ("ttl:300", "300", "`ttl` goes from 0 to 255; `300` is beyond", ""),
    ("vlan:4096", "4096", "`vlan` goes from 0 to 4095; `4096` is beyond", ""),
    ("len:big", "big", "`len` takes numbers; `big` is none", ""),
    ("asn:ASx", "ASx", "`asn` takes numbers; `asx` is none", ""),
    ("country:germany", "germany", "a country is its code of two letters, as `country:NL` (ISO 3166-1)", ""),
    ("mark:-1", "-1", "no value of `mark` is below 0", "mark:1"),
    ("src:host.example", "host.example", "`src` takes addresses, and `host.example` is a name; names are not looked up", "host:host.example"),
    ("-src:web-01", "web-01", "`src` takes addresses, and `web-01` is a name; names are not looked up", "-host:web-01"),
    ("src:10.0.0.1:22", "10.0.0.1:22", "address and port are two terms", "src:10.0.0.1 sport:22"),
    ("dst:10.0.0.1:22", "10.0.0.1:22", "address and port are two terms", "dst:10.0.0.1 dport:22"),
    ("-dst:10.0.0.1:22", "10.0.0.1:22", "address and port are two terms", "-(dst:10.0.0.1 dport:22)"),
    ("10.0.0.1:22", "10.0.0.1:22", "address and port are two terms", "(ip:10.0.0.1 port:22)"),
    ("[2001:db8::1]:443", "[2001:db8::1]:443", "address and port are two terms", "(ip:2001:db8::1 port:443)"),
    ("src:[2001:db8::1]", "[2001:db8::1]", "an IPv6 address needs no brackets", "src:2001:db8::1"),
    ("src:10.0.*", "10.0.*", "a network is written with the length of its prefix", "src:10.0.0.0/16"),
    ("10.0.*", "10.0.*", "a network is written with the length of its prefix", "ip:10.0.0.0/16"),
    ("10.*.*.*", "10.*.*.*", "a network is written with the length of its prefix", "ip:10.0.0.0/8"),
    ("src:10.*.0.1", "10.*.0.1", "`10.*.0.1` is not an address, a network or a range", ""),
    ("src:10.0.0", "10.0.0", "a network is written with all its four numbers", "src:10.0.0.0/24"),
    ("src:10.0.0.", "10.0.0.", "a network is written with all its four numbers", "src:10.0.0.0/24"),
    ("src:10/8", "10/8", "a network is written with all its four numbers", "src:10.0.0.0/8"),
    ("src:10.0/16", "10.0/16", "a network is written with all its four numbers", "src:10.0.0.0/16"),
    ("src:10.0.0.1/33", "10.0.0.1/33", "the prefix of `10.0.0.1/33` goes to /32 at most", "src:10.0.0.1"),
    ("src:10.0.0.0/255.255.255.0", "10.0.0.0/255.255.255.0", "a network is written with the length of its prefix", "src:10.0.0.0/24"),
    ("src:10.0.0.1/", "10.0.0.1/", "`10.0.0.1/` is not an address, a network or a range", ""),
    ("src:010.0.0.1", "010.0.0.1", "the numbers of an address have no leading zeros", "src:10.0.0.1"),
    ("src:10.0.0.1-20", "10.0.0.1-20", "a range is written with two whole addresses", "src:10.0.0.1-10.0.0.20"),
    ("src:10.0.0.9-10.0.0.1", "10.0.0.9-10.0.0.1", "the range `10.0.0.9-10.0.0.1` ends before it starts", "src:10.0.0.1-10.0.0.9"),
    ("src:10.0.0.1-::1", "10.0.0.1-::1", "a range is of IPv4 or of IPv6, not of both", ""),
    ("src:10.0.0.1 - 10.0.0.5", "-", "`-` stands directly before what it negates", "src:10.0.0.1-10.0.0.5"),
    ("src:10.0.0.256", "10.0.0.256", "`10.0.0.256` is not an address, a network or a range", ""),
    ("src:fe80::1%eth0", "fe80::1%eth0", "an address has no zone here", "src:fe80::1"),
    ("fe80::zz", "fe80::zz", "`fe80::zz` is not an address; quote it to search for the text", "\"fe80::zz\""),
    ("2001:db8::zz", "2001:db8::zz", "`2001:db8::zz` is not an address; quote it to search for the text", "\"2001:db8::zz\""),
    ("src:2001:db8::zz", "2001:db8::zz", "`2001:db8::zz` is not an address, a network or a range", ""),
    ("src:privat", "privat", "`privat` is not a class of addresses", "src:private"),
    ("src:intern", "intern", "`src` takes addresses, and `intern` is a name; names are not looked up", ""),
    ("src:@admin", "@admin", "unknown set `@admin` (known: @admins @empty)", "src:@admins"),
    ("src:@nosuch", "@nosuch", "unknown set `@nosuch` (known: @admins @empty)", ""),
    ("group:dv", "dv", "unknown group `dv` (known: db nobody web)", "group:db"),
    ("-group:nosuch", "nosuch", "unknown group `nosuch` (known: db nobody web)", ""),
    ("group:x*", "x*", "no group is called so (known: db nobody web)", ""),

    ("@admins", "@admins", "a set belongs to an address field", "ip:@admins"),
    ("src:self", "self", "`self` is known only where the filter runs on one host", ""),
    ("src:198.51.100[.]7", "198.51.100[.]7", "the dots of an address need no brackets", "src:198.51.100.7"),
    ("22", "22", "`22` alone could be a port, a length or anything; name the field", "port:22"),
    ("80-90", "80-90", "`80-90` alone could be a port, a length or anything; name the field", "port:80-90"),
    (">1024", ">1024", "`>1024` alone could be a port, a length or anything; name the field", "port:>1024"),
    ("70000", "70000", "`70000` alone could be a port, a length or anything; name the field", "\"70000\""),
    ("0x10", "0x10", "`0x10` alone could be a port, a length or anything; name the field", "port:0x10"),
    ("-22", "22", "`22` alone could be a port, a length or anything; name the field", "-port:22"),
    ("12:30", "12:30", "time is not part of a filter: use the time picker or --since and --until", ""),
    ("2026-11-23", "2026-11-23", "time is not part of a filter: use the time picker or --since and --until", ""),
    ("52:54:00:12:34:56", "52:54:00:12:34:56", "a hardware address belongs to `mac`", "mac:52:54:00:12:34:56"),
    ("a4:54:00:12:34:56", "a4:54:00:12:34:56", "a hardware address belongs to `mac`", "mac:a4:54:00:12:34:56"),
    ("mac:52-54-00-12-34-56", "52-54-00-12-34-56", "`52-54-00-12-34-56` is not a hardware address; it is written 52:54:00:12:34:56, or 52:54:00:* for the vendor", "mac:52:54:00:12:34:56"),
    ("mac:5254.0012.3456", "5254.0012.3456", "`5254.0012.3456` is not a hardware address; it is written 52:54:00:12:34:56, or 52:54:00:* for the vendor", "mac:52:54:00:12:34:56"),
    ("mac:banana", "banana", "`banana` is not a hardware address; it is written 52:54:00:12:34:56, or 52:54:00:* for the vendor", ""),
    ("~\"x\"", "~", "a regular expression belongs to a text field", "prefix:~\"x\""),
    ("~x", "~x", "a regular expression belongs to a text field", "prefix:~\"x\""),
    ("host:~x", "~x", "a regular expression is written in quotes", "host:~\"x\""),
    ("host:/web.*/", "/web.*/", "a regular expression is written ~\"…\"", "host:~\"web.*\""),
    ("host:>5", ">5", "`host` is text and has no order; quote it to search for it", "host:\">5\""),
    ("host:@admins", "@admins", "sets hold addresses, and `host` is text", "host:\"@admins\""),
    ("host:=web", "=web", "the colon already says `equal`", "host:web"),
    ("prefix:~\"a(b\"", "~\"a(b\"", "the regular expression is wrong: unclosed group", ""),
    ("prefix:~\"(\\w{500}){500}\"", "~\"(\\w{500}){500}\"", "the regular expression is wrong: too large when compiled", ""),
    ("a && b", "&&", "a space is AND", "a b"),
    ("a || b", "||", "OR is written as a word", "a OR b"),
    ("a&&b", "a&&b", "a space is AND", "(a b)"),
    ("a||b", "a||b", "OR is written as a word", "(a OR b)"),
    ("a | b", "|", "OR is written as a word", "a OR b"),
    ("a &&b", "&&b", "a space is AND", "a b"),
    ("(a", "(", "this parenthesis is never closed", "(a)"),
    ("a)", ")", "this parenthesis was never opened", "a"),
    ("()", "()", "there is nothing between the parentheses", ""),
    ("(a OR )", "OR", "a term is missing after OR", "(a)"),
    ("((a OR b)", "(", "this parenthesis is never closed", "((a OR b))"),
    ("-", "-", "a term is missing after the sign of negation", ""),
    ("a -", "-", "a term is missing after the sign of negation", "a"),
    ("- a", "-", "`-` stands directly before what it negates", "-a"),
    ("a OR", "OR", "a term is missing after OR", "a"),
    ("OR a", "OR", "a term is missing before OR; quote it to search for the word", "a"),
    ("a AND OR b", "OR", "a term is missing before OR; quote it to search for the word", "a AND b"),
    ("NOT", "NOT", "a term is missing after NOT", ""),
    ("a AND", "AND", "a term is missing after AND", "a"),
    ("\"abc", "\"abc", "the quotes are never closed", "\"abc\""),
    ("prefix:\"abc", "\"abc", "the quotes are never closed", "prefix:\"abc\""),
    ("prefix:\"abc\\", "\"abc\\", "the quotes are never closed", "prefix:\"abc\\\\\""),
    ("prefix:\"abc\"d", "\"abc\"", "a space or a comma belongs after closing quotes", "prefix:\"abc\" d"),
    ("prefix:a\"b\"", "a\"b\"", "a value with quotes or parentheses inside is itself quoted", "prefix:\"a\\\"b\\\"\""),
    ("\"\"", "\"\"", "there is no text between the quotes", ""),
    ("a(b)", "a(b)", "text with quotes or parentheses inside is itself quoted", "\"a(b)\""),
    ("rule:f(x)", "f(x)", "a value with quotes or parentheses inside is itself quoted", "rule:\"f(x)\""),
    ("(rule:f(x))", "f(x)", "a value with quotes or parentheses inside is itself quoted", "(rule:\"f(x)\")"),
    ("a,b", "a,b", "a comma makes a list, and a list needs a field; quote it to search for the text", "\"a,b\""),
    (",", ",", "a comma stands directly between two values of a field", ""),
    ("action:dorp", "dorp", "`action` is never `dorp`; it is drop, reject, accept, log", "action:drop"),
    ("action:block", "block", "`action` is never `block`; it is drop, reject, accept, log", "action:drop"),
    ("action:banana", "banana", "`action` is never `banana`; it is drop, reject, accept, log", ""),
    ("family:ipv6", "ipv6", "`family` is never `ipv6`; it is ip, ip6, inet, arp, bridge, netdev", "family:ip6"),
    ("hook:in", "in", "`hook` is never `in`; it is prerouting, input, forward, output, postrouting, ingress, egress", "hook:input"),
    ("ct:estab", "estab", "`ct` is never `estab`; it is new, established, related, untracked, invalid", "ct:established"),
    ("flags:syb", "syb", "`syb` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", "flags:syn"),
    ("flags:push", "push", "`push` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", "flags:psh"),
    ("flags:S", "S", "`S` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", "flags:syn"),
    ("flags:SA", "SA", "`SA` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", "flags:syn flags:ack"),
    ("flags:syn|ack", "syn|ack", "flags of which any may be set are separated by commas", "flags:syn,ack"),
    ("flags:syn/ack", "syn/ack", "flags of which any may be set are separated by commas", "flags:syn,ack"),
    ("flags:syn+ack", "syn+ack", "flags that must all be set are several terms", "flags:syn flags:ack"),
    ("-flags:syn+ack", "syn+ack", "flags that must all be set are several terms", "-(flags:syn flags:ack)"),
    ("flags:banana", "banana", "`banana` is not a TCP flag; they are fin, syn, rst, psh, ack, urg, ece, cwr, ae", ""),
    ("FINAL_REJECT:", "FINAL_REJECT", "unknown field `FINAL_REJECT`; quote it to search for the text", "\"FINAL_REJECT:\""),
    ("10.0.0.1 dst:10.0.0.1:22", "10.0.0.1:22", "address and port are two terms", "10.0.0.1 dst:10.0.0.1 dport:22"),
    ("*22*", "*22*", "`22` alone could be a port, a length or anything; name the field", "\"22\""),
    ("src:fleet,web-01", "web-01", "`src` takes addresses, and `web-01` is a name; names are not looked up", ""),
    ("(a b", "(", "this parenthesis is never closed", "(a b)"),
];

#[test]
fn every_slip_has_its_message() {
    let mut wrong = String::new();
    for (text, marked, message, proposal) in TABLE {
        let error = fails(text);
        let actual = (
            *text,
            &text[error.span.clone()],
            error.message.as_str(),
            error.proposal.as_deref().unwrap_or(""),
        );
        if actual != (*text, *marked, *message, *proposal) {
            wrong.push_str(&format!("    {actual:?},\n"));
        }
    }
    assert!(wrong.is_empty(), "not as in the table:\n{wrong}");
}

#[test]
fn every_proposal_is_a_filter() {
    for (text, ..) in TABLE {
        if let Some(proposal) = fails(text).proposal {
            let result = Filter::parse(&proposal, &check::context());
            assert!(result.is_ok(), "{text:?} -> {proposal:?}: {:?}", result.unwrap_err());
        }
    }
}

#[test]
fn it_is_rendered_with_carets() {
    let text = "src:10.0.0.1 dprot:22";
    assert_eq!(
        fails(text).render(text, false),
        "filter error: unknown field `dprot`\n  src:10.0.0.1 dprot:22\n               ^^^^^\n  did you mean: src:10.0.0.1 dport:22\n"
    );
    let coloured = fails(text).render(text, true);
    assert!(coloured.contains("\u{1b}[1;31m^^^^^\u{1b}[0m"), "{coloured:?}");
}

#[test]
fn what_could_move_the_cursor_is_escaped() {
    let text = "a\u{1b}[2J:x \u{202e}dport:70000";
    let shown = fails(text).render(text, false);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    assert!(shown.contains("a\\u{1b}[2J:x"), "{shown}");
}

#[test]
fn a_long_filter_is_cut_around_the_mistake() {
    let text = format!("{} dprot:22 {}", "aaaa ".repeat(100), "bbbb ".repeat(100));
    let shown = fails(&text).render(&text, false);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].chars().count() < 120, "{shown}");
    let caret = lines[2].find('^').unwrap();
    assert_eq!(lines[1].chars().skip(caret).take(5).collect::<String>(), "dprot");
}

/// A name that others may know is told from a mistake, so that a client can leave the verdict to its server.
#[test]
fn unknown_names_are_told_from_mistakes() {
    for (text, unknown) in [
        ("src:@nosuch", true),
        ("group:nosuch", true),
        ("group:x*", true),
        ("dport:nosuch", true),
        ("dport:dns,nosuch", true),
        ("nosuch:1", false),
        ("dport:70000", false),
        ("dport:tcp", false),
        ("src:nosuch", false),
    ] {
        assert_eq!(fails(text).unknown_name, unknown, "{text}");
    }
    let error = Filter::parse("src:fleet", &bartizan_filter::Context::default()).unwrap_err();
    assert!(error.unknown_name);
}

#[test]
fn what_was_pasted_is_proposed_as_a_filter() {
    let line = "Nov 23 05:00:43 web-01 kernel: [ 12.3] DROP IN=eth0 OUT= SRC=203.0.113.7 DST=10.0.0.2 LEN=60 PROTO=TCP SPT=40000 DPT=22 SYN";
    let error = fails(line);
    assert_eq!(error.message, "this is something pasted and not a filter");
    let proposal = "src:203.0.113.7 dst:10.0.0.2 proto:tcp sport:40000 dport:22";
    assert_eq!(error.proposal.as_deref(), Some(proposal));
    let page = "https://watch.example/explore?q=dport%3A22";
    assert_eq!(fails(page).proposal.as_deref(), Some("dport:22"));
    // of a table without addresses it is nothing
    let error = Filter::parse_for(bartizan_model::Kind::Losses, line, &check::context()).unwrap_err();
    assert_ne!(error.message, "this is something pasted and not a filter");
}
