//! Filters with their canonical form.

use crate::check;
use bartizan_filter::{AddrRange, Context, Filter};
use bartizan_model::Kind;
use bartizan_schema::table_columns;

fn canonical(text: &str) -> String {
    check::any_text(text);
    Filter::parse(text, &check::context()).unwrap_or_else(|e| panic!("{}", e.render(text, false))).to_string()
}

#[test]
fn the_examples_of_the_documentation() {
    for (text, expected) in [
        ("", ""),
        ("  ", ""),
        (
            "src:203.0.113.0/24 dport:22 -host:web* action:drop",
            "src:203.0.113.0/24 dport:22 -host:web* action:drop",
        ),
        (
            "dport:22,3389,8000-9000 src:public -src:@admins",
            "dport:22,3389,8000-9000 src:public -src:@admins",
        ),
        ("flags:syn -flags:ack host:db*", "flags:syn -flags:ack host:db*"),
        ("2001:db8::/32 OR 198.51.100.7", "ip:2001:db8::/32 OR ip:198.51.100.7"),
        (r#"src:public (rule:in-* OR prefix:"x y")"#, r#"src:public (rule:in-* OR prefix:"x y")"#),
        ("-dport:* proto:udp", "-dport:* proto:udp"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn values_in_their_canonical_form() {
    for (text, expected) in [
        // addresses
        ("SRC:10.1.2.3/8", "src:10.0.0.0/8"),
        ("src:::ffff:10.1.2.3", "src:10.1.2.3"),
        ("src:::ffff:10.1.2.3/104", "src:10.0.0.0/8"),
        ("dst:2001:DB8:0::1", "dst:2001:db8::1"),
        ("dst:::/0", "dst:::/0"),
        ("ip:0.0.0.0/0,::/0", "ip:::/0,0.0.0.0/0"),
        ("fe80::1", "ip:fe80::1"),
        ("10.0.0.1,10.0.0.9", "ip:10.0.0.1,10.0.0.9"),
        ("10.0.0.9-10.0.0.20", "ip:10.0.0.9-10.0.0.20"),
        ("src:10.0.0.0-10.255.255.255", "src:10.0.0.0/8"),
        ("src:Private,FLEET,@Admins,10.0.0.1", "src:10.0.0.1,private,fleet,@admins"),
        ("src:10.0.0.5,10.0.0.0/8", "src:10.0.0.0/8"),
        ("inner.src:10.0.0.1", "inner.src:10.0.0.1"),
        // numbers
        ("dport:ssh,HTTPS,domain", "dport:22,53,443"),
        ("dport:jetdirect", "dport:9100"),
        ("dport:two", "dport:700,701"),
        ("dport:>1023", "dport:>=1024"),
        ("dport:>=1024", "dport:>=1024"),
        ("dport:<1024", "dport:<=1023"),
        ("dport:0-1023", "dport:<=1023"),
        ("dport:80,22,80,20-25", "dport:20-25,80"),
        ("proto:6,UDP,icmp6,200", "proto:tcp,udp,icmpv6,200"),
        ("mark:0x10", "mark:16"),
        ("src.asn:AS4134", "src.asn:AS4134"),
        ("asn:4134,as64500-AS64510,>=AS4200000000", "asn:AS4134,AS64500-AS64510,>=AS4200000000"),
        ("src.country:NL,de -dst.country:*", "src.country:de,nl -dst.country:*"),
        ("len:>=1500", "len:>=1500"),
        ("ttl:<=5", "ttl:<=5"),
        ("flags:ack,SYN,syn", "flags:syn,ack"),
        ("dport:*,22", "dport:*"),
        // text
        ("host:Web-01,db1", "host:db1,web-01"),
        ("in:eth0.100", "in:eth0.100"),
        ("mac:52:54:00:AA:bb:cc", "mac:52:54:00:aa:bb:cc"),
        ("mac:52:54:00:*", "mac:52:54:00:*"),
        (r#"host:"web*""#, r#"host:"web*""#),
        ("host:we**b*", "host:we*b*"),
        (r#"prefix:"UFW \"BLOCK\"""#, r#"prefix:"ufw \"block\"""#),
        (r#"rule:~"^in-\d+$",~"x""#, r#"rule:~"^in-\d+$",~"x""#),
        (r#"rule:~"a\"b\\\\""#, r#"rule:~"a\"b\\\\""#),
        (r#"netns:"""#, r#"netns:"""#),
        ("action:DROP,reject", "action:drop,reject"),
        ("action:dr*", "action:dr*"),
        // bare words
        ("UFW", "ufw"),
        ("*ufw*", "ufw"),
        ("*U?w", "u?w"),
        ("*dport>2*2", "*dport>2*2*"),
        ("u?w*x", "u?w*x"),
        ("[UFW block]", "\"[ufw\" \"block]\""),
        (r#""x y""#, r#""x y""#),
        (r#""or" "src" "22""#, r#""or" "src" "22""#),
        ("*", ""),
        ("-*", "-*"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn operators_bind_as_documented() {
    for (text, expected) in [
        ("a b OR c d", "(a b) OR (c d)"),
        ("a AND b or c", "(a b) OR c"),
        ("a (b OR c)", "a (b OR c)"),
        ("(a b) c", "a b c"),
        ("a OR (b OR c)", "a OR b OR c"),
        ("NOT a b", "-a b"),
        ("!a", "-a"),
        ("--a", "a"),
        ("NOT -a", "a"),
        ("-(a b)", "-(a b)"),
        ("-(-(a b))", "a b"),
        ("not(a)or(b)", "-a OR b"),
        ("((((a))))", "a"),
        ("a * b", "a b"),
        ("a OR *", ""),
        ("a OR -*", "a OR -*"),
        ("\u{a0}a\u{2003}b\n", "a b"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn names_depend_on_the_context_and_stay_names() {
    let one = Context::default().with_set("a", vec![AddrRange::parse("10.0.0.1").unwrap()]);
    let other = Context::default().with_set("a", vec![AddrRange::parse("10.0.0.2").unwrap()]);
    let first = Filter::parse("src:@a", &one).unwrap();
    let second = Filter::parse("src:@a", &other).unwrap();
    assert_eq!(first.to_string(), second.to_string());
    assert_ne!(first, second, "the trees hold the addresses");
    assert!(Filter::parse("src:fleet", &one).is_err());
    let own = one.with_own(vec![AddrRange::parse("10.0.0.7").unwrap()]);
    assert_eq!(Filter::parse("dst:self", &own).unwrap().to_string(), "dst:self");
}

#[test]
fn it_knows_its_columns_and_can_be_narrowed() {
    let filter = Filter::parse("port:22 -host:a OR b", &Context::default()).unwrap();
    let columns: Vec<_> = filter.columns().into_iter().collect();
    let events = |name: &&str| table_columns(Kind::Events).iter().any(|c| c.name == *name);
    let columns: Vec<_> = columns.into_iter().filter(events).collect();
    assert_eq!(columns, ["dport", "host", "prefix", "rule", "sport"]);
    let scope = Filter::parse("host:db*", &Context::default()).unwrap();
    assert_eq!(scope.clone().and(filter).to_string(), "host:db* ((port:22 -host:a) OR b)");
    assert_eq!(scope.clone().and(Filter::all()), scope);
    assert_eq!(Filter::all().to_string(), "");
}

/// What is no field of the table asked for is an error, with what says about the same there.
#[test]
fn each_table_has_its_own_fields() {
    let parse = |kind, text: &str| Filter::parse_for(kind, text, &Context::default());
    for (kind, text) in [
        (Kind::Flows, "src:10.0.0.0/8 reply.dport:443 nat:*dnat* bytes:>1000"),
        (Kind::Flows, "2001:db8::/32 OR tcp.state:established"),
        (Kind::Counters, "rule:\"*dport 22*\" packets:>0 kind:rule chain:input"),
        (Kind::Losses, "stage:kernel reason:\"sequence gap\" kind:flows count:>10 web"),
        (Kind::Rulesets, "process:nft pid:12 generation:*"),
    ] {
        let filter = parse(kind, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(parse(kind, &filter.to_string()), Ok(filter), "{text}");
    }
    for (kind, text, part, proposal) in [
        (Kind::Events, "dport:22 bytes:>9", "bytes", Some("dport:22 len:>9")),
        (Kind::Events, "stage:kernel", "stage", None),
        (Kind::Flows, "-prefix:x src:10.0.0.1", "prefix", None),
        (Kind::Flows, "len:9", "len", Some("bytes:9")),
        (Kind::Flows, "scr:10.0.0.1", "scr", Some("src:10.0.0.1")),
        (Kind::Counters, "prefix:x", "prefix", Some("rule:x")),
        (Kind::Counters, "host:a 10.0.0.1", "10.0.0.1", Some("host:a \"10.0.0.1\"")),
    ] {
        let error = parse(kind, text).expect_err(text);
        assert_eq!((&text[error.span.clone()], error.proposal.as_deref()), (part, proposal), "{error}");
    }
    // A word that is a field elsewhere is a word here.
    assert!(parse(Kind::Events, "reason").is_ok());
    assert!(parse(Kind::Losses, "reason").is_err());
}
