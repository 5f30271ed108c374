//! Which rule, and what became of the packet: on rulesets of iptables, which are short to write.

use crate::events::{Event, answer, batch, found, handle, read, text};
use bartizan_ruleset::{Attribution, Form, Ruleset, attribute};
use std::sync::Arc;

/// The filter table with these lines behind the built-in chains; the policy of INPUT is DROP.
fn filter(lines: &str) -> Arc<Ruleset> {
    let text =
        format!("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{lines}\nCOMMIT\n");
    read(Form::IptablesLegacySave, &text)
}

#[test]
fn one_candidate_needs_no_columns_and_the_next_rule_tells_the_action() {
    let rules = filter(
        "-A INPUT -p tcp -m tcp --dport 22 -j NFLOG --nflog-prefix \"ssh \" --nflog-group 5\n\
         -A INPUT -p tcp -m tcp --dport 22 -j DROP\n\
         -A INPUT -j ACCEPT",
    );
    let event = Event { prefix: "ssh ", family: "ip", hook: "input", ..Event::default() };
    assert_eq!(answer(&rules, event), "INPUT#1 drop");
    // Of the output chain it cannot be.
    assert_eq!(answer(&rules, Event { hook: "output", ..Event::tcp("ssh ", 22) }), "? ");
    assert_eq!(answer(&rules, Event { family: "ip6", ..Event::tcp("ssh ", 22) }), "? ");
}

#[test]
fn a_shared_prefix_is_told_apart_by_the_packet() {
    let rules = filter(
        "-A INPUT -p tcp -m tcp --dport 22 -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -p tcp -m multiport --dports 80,8000:8080 -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -p udp -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -s 192.0.2.0/24 -j REJECT",
    );
    let of = |event| answer(&rules, event);
    assert_eq!(of(Event::tcp("x", 22)), "INPUT#1 reject");
    assert_eq!(of(Event::tcp("x", 8001)), "INPUT#2 reject");
    assert_eq!(of(Event { src: "10.0.0.1", ..Event::udp("x", 22) }), "INPUT#3 drop");
    // No rule of these fits: nothing is said.
    assert_eq!(of(Event::tcp("x", 23)), "? ");
    // A column is missing: more than one fits.
    let unknown = Event { dport: None, ..Event::tcp("x", 0) };
    assert_eq!(of(unknown.clone()), "? reject");
    let out = attribute(&batch(&[unknown]), Some(5), &mut [&mut Attribution::new(Arc::clone(&rules))]);
    let extra = text(&out, "extra", 0);
    assert!(extra.contains("ip filter INPUT#1: -A INPUT -p tcp -m tcp --dport 22"), "{extra}");
    assert!(extra.contains("INPUT#2") && !extra.contains("INPUT#3"), "{extra}");
}

#[test]
fn what_was_dropped_before_does_not_get_there() {
    let rules = filter(
        ":log - [0:0]\n\
         -A INPUT -p tcp -m tcp --dport 22 -j log\n\
         -A INPUT -p tcp -m tcp --dport 22 -j DROP\n\
         -A INPUT -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A log -s 192.0.2.1/32 -j RETURN\n\
         -A log -j NFLOG --nflog-prefix x --nflog-group 5",
    );
    assert_eq!(answer(&rules, Event { src: "10.1.1.1", ..Event::tcp("x", 22) }), "log#2 drop");
    assert_eq!(answer(&rules, Event::tcp("x", 23)), "INPUT#3 drop");
}

#[test]
fn the_way_back_decides_the_action() {
    let rules = filter(
        ":log - [0:0]\n\
         -A INPUT -p tcp -m tcp --dport 22 -j log\n\
         -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
         -A INPUT -p udp -g log\n\
         -A FORWARD -j log\n\
         -A log -j NFLOG --nflog-prefix x --nflog-group 5",
    );
    assert_eq!(answer(&rules, Event::tcp("x", 22)), "log#1 accept");
    // Behind a goto comes the end of the chain that went there.
    assert_eq!(answer(&rules, Event::udp("x", 22)), "log#1 drop");
    assert_eq!(answer(&rules, Event { hook: "forward", ..Event::udp("x", 22) }), "log#1 accept");
}

#[test]
fn limits_are_unknown_and_marks_that_change_as_well() {
    let rules = filter(
        "-A INPUT -m limit --limit 3/min -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -m mark --mark 0x1 -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -m limit --limit 3/min -j ACCEPT",
    );
    assert_eq!(answer(&rules, Event { mark: Some(2), ..Event::tcp("x", 1) }), "INPUT#1 log");
    assert_eq!(answer(&rules, Event { mark: Some(1), ..Event::tcp("x", 1) }), "? log");
    let rules = filter(
        "-A INPUT -m mark --mark 0x1 -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -j MARK --set-xmark 0x2/0xffffffff\n\
         -A INPUT -p tcp -j NFLOG --nflog-prefix x --nflog-group 5",
    );
    assert_eq!(answer(&rules, Event { mark: Some(2), ..Event::tcp("x", 1) }), "? drop");
    assert_eq!(answer(&rules, Event { mark: Some(2), ..Event::udp("x", 1) }), "INPUT#1 drop");
}

#[test]
fn fragments_have_no_ports() {
    let rules = filter(
        "-A INPUT -p udp -m udp ! --dport 53 -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -f -j NFLOG --nflog-prefix x --nflog-group 5",
    );
    let fragment = Event { sport: None, dport: None, frag: Some(0x2005), ..Event::udp("x", 0) };
    assert_eq!(answer(&rules, fragment), "INPUT#2 drop");
    assert_eq!(answer(&rules, Event::udp("x", 54)), "INPUT#1 drop");
}

#[test]
fn an_unknown_target_makes_no_action() {
    let rules = filter(
        "-A INPUT -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -i eth1 -j WONDER --all",
    );
    assert_eq!(rules.notes(), ["not understood in ip filter: -A INPUT -i eth1 -j WONDER --all"]);
    assert_eq!(answer(&rules, Event { in_if: "eth1", ..Event::tcp("x", 1) }), "INPUT#1 ");
    assert_eq!(answer(&rules, Event::tcp("x", 1)), "INPUT#1 drop");
}

#[test]
fn a_listing_that_was_cut_off_attributes_nothing() {
    let whole = "*filter\n:INPUT DROP [0:0]\n-A INPUT -j NFLOG --nflog-prefix x --nflog-group 5\n";
    let rules = read(Form::IptablesSave, whole);
    assert_eq!(rules.rules().count(), 1);
    assert_eq!(rules.notes(), ["the text of iptables-save is cut off"]);
    assert_eq!(answer(&rules, Event::tcp("x", 1)), "? ");
}

#[test]
fn several_rulesets_have_to_agree() {
    let old = filter("-A INPUT -j NFLOG --nflog-prefix x --nflog-group 5\n-A INPUT -p tcp -j ACCEPT");
    let new = filter("-A INPUT -j NFLOG --nflog-prefix x --nflog-group 5");
    assert_ne!(old.generation(), new.generation());
    let (mut a, mut b) = (Attribution::new(Arc::clone(&old)), Attribution::new(Arc::clone(&new)));
    let events = [Event::tcp("x", 1), Event { extra: "{\"a\":1}", ..Event::udp("x", 1) }];
    let out = attribute(&batch(&events), Some(5), &mut [&mut a, &mut b]);
    assert_eq!((text(&out, "rule", 0), text(&out, "action", 0)).1, "");
    assert_eq!(text(&out, "rule", 1), "-A INPUT -j NFLOG --nflog-prefix x --nflog-group 5");
    assert_eq!(text(&out, "action", 1), "drop");
    assert_eq!(text(&out, "generation", 0), "");
    let flight = format!("\"in_flight\":[\"{}\",\"{}\"]}}", old.generation(), new.generation());
    assert_eq!(text(&out, "extra", 0), format!("{{{flight}"));
    assert_eq!(text(&out, "extra", 1), format!("{{\"a\":1,{flight}"));
    // Twice the same one is one.
    let out = attribute(&batch(&events), Some(5), &mut [&mut a, &mut Attribution::new(old)]);
    assert_ne!(text(&out, "generation", 0), "");
    assert_eq!((text(&out, "action", 0), handle(&out, 0)), ("accept".into(), Some(1)));
    assert_eq!(text(&out, "extra", 0), "");
}

#[test]
fn rows_of_many_kinds_in_one_batch() {
    let rules = filter(
        "-A INPUT -p tcp -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -p udp -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -j NFLOG --nflog-group 5\n\
         -A OUTPUT -j NFLOG --nflog-prefix y --nflog-group 5\n\
         -A OUTPUT -j NFLOG --nflog-prefix y --nflog-group 6",
    );
    let events = [
        Event::udp("x", 1),
        Event::tcp("x", 1),
        Event::tcp("", 1),
        Event { hook: "output", ..Event::tcp("y", 1) },
        Event::tcp("not there", 1),
    ];
    let place =
        |(chain, handle, _): (String, Option<i64>, String)| format!("{chain}{}", handle.unwrap_or_default());
    let places: Vec<String> = found(&rules, &events).into_iter().map(place).collect();
    assert_eq!(places, ["INPUT2", "INPUT1", "INPUT3", "OUTPUT1", "0"]);
    assert_eq!(rules.generation().len(), 32);
}

#[test]
fn states_where_conntrack_tells_them() {
    let rules = filter(
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j NFLOG --nflog-prefix x --nflog-group 5\n\
         -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A INPUT -m conntrack ! --ctstate NEW -j DROP\n\
         -A INPUT -j NFLOG --nflog-prefix x --nflog-group 5",
    );
    let of = |ct_state| answer(&rules, Event { ct_state, ..Event::tcp("x", 1) });
    assert_eq!(of("established"), "INPUT#1 accept");
    assert_eq!(of("new"), "INPUT#4 drop");
    // Untracked packets are dropped in between, so that none of them logged it.
    assert_eq!(of("untracked"), "? ");
    assert_eq!(of(""), "? ");
}

#[test]
fn the_kernels_own_log_and_long_prefixes() {
    let long = "x".repeat(40);
    let rules = filter(&format!(
        "-A INPUT -p tcp -j LOG --log-prefix \"drop: \"\n\
         -A INPUT -p udp -j LOG --log-prefix \"{long}\"\n\
         -A INPUT -p tcp -j NFLOG --nflog-prefix \"drop: \" --nflog-group 5"
    ));
    let mut attribution = Attribution::new(rules);
    let cut: &'static str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    // A line of text tells no hook, and may have lost the blank.
    let events = [Event { hook: "", ..Event::tcp("drop:", 1) }, Event { hook: "", ..Event::udp(cut, 1) }];
    let out = attribute(&batch(&events), None, &mut [&mut attribution]);
    assert_eq!(text(&out, "rule", 0), "-A INPUT -p tcp -j LOG --log-prefix \"drop: \"");
    assert!(text(&out, "rule", 1).contains(&long));
    assert_eq!(text(&out, "action", 1), "drop");
}

#[test]
fn ways_that_cannot_be_counted_end() {
    let mut lines = String::new();
    for n in 0..60 {
        lines.push_str(&format!(":c{n} - [0:0]\n"));
    }
    for n in 0..59 {
        for limit in 1..4 {
            lines.push_str(&format!("-A c{n} -m limit --limit {limit}/sec -j c{}\n", n + 1));
        }
    }
    lines.push_str("-A c59 -j NFLOG --nflog-prefix x --nflog-group 5\n-A INPUT -j c56\n");
    // 27 ways back, all to the policy.
    assert_eq!(answer(&filter(&lines), Event::tcp("x", 1)), "c59#1 drop");
    // Millions of them: where they lead is not said.
    assert_eq!(answer(&filter(&lines.replace("-j c56", "-j c45")), Event::tcp("x", 1)), "c59#1 ");
    // Deeper than the kernel allows.
    assert_eq!(answer(&filter(&lines.replace("-j c56", "-j c0")), Event::tcp("x", 1)), "c59#1 ");
}

mod classes {
    use super::filter;
    use crate::events::{Event, batch, found};
    use bartizan_ruleset::{Attribution, attribute};
    use proptest::prelude::*;
    use std::sync::Arc;

    const RULES: &[&str] = &[
        "-s 192.0.2.0/25",
        "! -s 192.0.2.64/26",
        "-p tcp -m tcp --dport 20:30",
        "-p udp -m udp ! --dport 25",
        "-i eth+",
        "! -i eth1",
        "-p tcp -m tcp --tcp-flags SYN,ACK SYN",
        "-m mark --mark 0x10/0xf0",
        "-m limit --limit 3/min",
        "-f",
        "-p udp -m multiport --ports 7,22:24",
        "",
    ];

    fn event() -> impl Strategy<Value = Event> {
        let addresses =
            proptest::sample::select(&["192.0.2.1", "192.0.2.70", "192.0.2.200", "10.0.0.1", ""][..]);
        let interfaces = proptest::sample::select(&["eth0", "eth1", "lo", "7", ""][..]);
        let port = proptest::option::of(5..40_i32);
        let numbers = (port, proptest::option::of(0..32_i16), proptest::option::of(0..300_i64));
        (addresses, interfaces, any::<Option<bool>>(), numbers, proptest::option::of(0..3_i32)).prop_map(
            |(src, in_if, tcp, (dport, tcp_flags, mark), frag)| Event {
                src,
                in_if,
                proto: tcp.map(|tcp| if tcp { 6 } else { 17 }),
                dport,
                tcp_flags,
                mark,
                frag,
                ..Event::tcp("x", 0)
            },
        )
    }

    proptest! {
        /// What is kept of earlier packets changes no answer.
        #[test]
        fn are_answered_alike(
            rules in proptest::collection::vec((proptest::sample::select(RULES), 0..5_usize), 1..12),
            events in proptest::collection::vec(event(), 1..40),
        ) {
            const TARGETS: [&str; 5] = ["ACCEPT", "DROP", "a", "NFLOG --nflog-prefix x --nflog-group 5", "RETURN"];
            let mut lines = String::from(":a - [0:0]\n-A a -s 192.0.2.0/26 -j NFLOG --nflog-prefix x --nflog-group 5\n");
            for (rule, target) in rules {
                lines.push_str(&format!("-A INPUT {rule} -j {}\n", TARGETS[target]));
            }
            let rules = filter(&lines);
            let together = found(&rules, &events);
            for (event, known) in events.iter().zip(together) {
                let alone = attribute(&batch(std::slice::from_ref(event)), Some(5), &mut [&mut Attribution::new(Arc::clone(&rules))]);
                let alone = (crate::events::text(&alone, "chain", 0), crate::events::handle(&alone, 0), crate::events::text(&alone, "action", 0));
                prop_assert_eq!(alone, known);
            }
        }
    }
}
