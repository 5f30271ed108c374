//! A host with rules, a peer that sends to it, and what is found out about the packets.

use crate::netfilter::possible;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bartizan_decode::columns::{EventColumns, InterfaceNames};
use bartizan_decode::netlink::Messages;
use bartizan_decode::nflog::NflogPacket;
use bartizan_e2e::netns::{End, NetNs};
use bartizan_e2e::traffic;
use bartizan_model::Micros;
use bartizan_netfilter::{Interfaces, NflogConfig, NflogSocket, Received, RecvBuffer};
use bartizan_ruleset::{Attribution, Form, Listing, Ruleset, attribute};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const GROUP: u16 = 5;
/// How long a connection is tried; under a second, so that it is one SYN.
const PATIENCE: Duration = Duration::from_millis(60);

/// The host: 192.0.2.2 and 2001:db8::2 at `eth0`. The peer: 192.0.2.1, 192.0.2.65 and 2001:db8::1.
pub(super) struct Stage {
    pub(super) host: NetNs,
    pub(super) peer: NetNs,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Send {
    /// One datagram from the peer.
    Udp(&'static str),
    /// One from its second address.
    UdpFrom65(&'static str),
    /// One from the host itself.
    Out(&'static str),
    /// The same as another user.
    OutAs(u32, &'static str),
    /// A connection that nobody waits for.
    Tcp(&'static str),
    /// A connection to a listener on the host.
    Connect(&'static str),
    /// An echo request.
    Ping(&'static str),
}

/// Chain, a part of the rule's text, action. For an event without a rule the chain is `?`, and the text is how
/// many candidates there are.
pub(super) type Expected = (&'static str, &'static str, &'static str);

impl Stage {
    /// `None` where there are no namespaces.
    pub(super) fn new(label: &str) -> Option<Self> {
        if !possible() {
            return None;
        }
        let (host, peer) = (NetNs::new(label).unwrap(), NetNs::new("peer").unwrap());
        let near = End { netns: &host, name: "eth0", addresses: &["192.0.2.2/24", "2001:db8::2/64"] };
        let far = End {
            netns: &peer,
            name: "eth0",
            addresses: &["192.0.2.1/24", "192.0.2.65/24", "2001:db8::1/64"],
        };
        NetNs::link(near, far).unwrap();
        Some(Self { host, peer })
    }

    /// Whether the kernel says what conntrack knows of a logged packet.
    pub(super) fn tells_states(&self) -> bool {
        let mut config = NflogConfig { conntrack: true, ..NflogConfig::new(GROUP) };
        self.host.run(|| config.fit().is_none()).unwrap()
    }

    /// Runs commands on the host, one a line.
    pub(super) fn commands(&self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let output = self.host.command("sh").args(["-c", line]).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// The ruleset as the tools list it, every form of it.
    pub(super) fn listing(&self) -> Listing {
        let forms = [
            (Form::Nft, "nft -s -a list ruleset"),
            (Form::NftJson, "nft -s -j list ruleset"),
            (Form::IptablesSave, "iptables-save"),
            (Form::Ip6tablesSave, "ip6tables-save"),
            (Form::IptablesLegacySave, "iptables-legacy-save"),
            (Form::Ip6tablesLegacySave, "ip6tables-legacy-save"),
        ];
        let list = |(form, command): (Form, &str)| {
            let mut words = command.split(' ');
            let output = self.host.command(words.next().unwrap()).args(words).output().unwrap();
            (form, String::from_utf8(output.stdout).unwrap())
        };
        Listing(forms.map(list).into())
    }

    /// Sends each packet, and holds the events of each against what is expected, in their order.
    pub(super) fn check(&self, cases: &[(Send, &[Expected])]) {
        self.check_group(GROUP, cases);
    }

    pub(super) fn check_group(&self, group: u16, cases: &[(Send, &[Expected])]) {
        let listing = self.listing();
        let ruleset = Arc::new(Ruleset::read(&listing));
        assert_eq!(ruleset.notes(), <&[String]>::default());
        // The text that nft prints is taken from there, and nothing else.
        let bare = Listing(listing.0.iter().filter(|(form, _)| *form != Form::Nft).cloned().collect());
        let bare = Arc::new(Ruleset::read(&bare));
        assert_eq!(bare.generation(), ruleset.generation());
        let mut attribution = Attribution::new(ruleset);
        let mut without_text = Attribution::new(bare);
        let mut reader = Reader::open(&self.host, group);
        for (send, expected) in cases {
            self.send(*send);
            let batch = reader.events(expected.len());
            let out = attribute(&batch, Some(group), &mut [&mut attribution]);
            let found: Vec<Found> = (0..out.num_rows()).map(|row| Found::read(&out, row)).collect();
            assert_eq!(found.len(), expected.len(), "{send:?} made the events {found:#?}");
            for (found, (chain, rule, action)) in found.iter().zip(*expected) {
                let place = match *chain {
                    "?" => found.rule.is_empty() && found.candidates().to_string() == *rule,
                    chain => found.chain == chain && found.rule.contains(rule),
                };
                assert!(
                    place && found.action == *action,
                    "{send:?}: not {chain} {rule} {action} but {found:#?}"
                );
            }
            let again = attribute(&batch, Some(group), &mut [&mut without_text]);
            for (row, found) in found.iter().enumerate() {
                let other = Found::read(&again, row);
                // nft before 1.1 tells the device of a chain in its text alone.
                let same = (&other.chain, other.handle, &other.action)
                    == (&found.chain, found.handle, &found.action);
                assert!(same || (other.rule.is_empty() && other.candidates() > 1), "{other:#?}\n{found:#?}");
            }
        }
    }

    fn send(&self, send: Send) {
        let from_peer = |work: &(dyn Fn() + Sync)| self.peer.run(work).unwrap();
        match send {
            Send::Udp(to) => from_peer(&|| _ = traffic::udp_burst(at(to), 1, 0, 8).unwrap()),
            Send::UdpFrom65(to) => from_peer(&|| {
                let socket = UdpSocket::bind("192.0.2.65:0").unwrap();
                _ = socket.send_to(b"x", at(to));
            }),
            Send::Out(to) => self.host.run(|| _ = traffic::udp_burst(at(to), 1, 0, 8).unwrap()).unwrap(),
            Send::OutAs(user, to) => {
                let line = format!("echo x > /dev/udp/{}/{}", at(to).ip(), at(to).port());
                let mut command = self.host.command("setpriv");
                command.args(["--reuid", &user.to_string(), "--clear-groups", "bash", "-c", &line]);
                // A rule may forbid it.
                command.output().unwrap();
            }
            Send::Tcp(to) => {
                from_peer(&|| _ = traffic::tcp_connects(at(to).ip(), [at(to).port()], PATIENCE).unwrap());
            }
            Send::Connect(to) => {
                let listener = self.host.run(|| TcpListener::bind(at(to)).unwrap()).unwrap();
                from_peer(&|| _ = traffic::tcp_connects(at(to).ip(), [at(to).port()], PATIENCE).unwrap());
                drop(listener);
            }
            Send::Ping(to) => {
                from_peer(&|| _ = traffic::icmp_echo(to.parse::<IpAddr>().unwrap(), 1).unwrap())
            }
        }
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// What the columns say of one event.
#[derive(Debug)]
struct Found {
    chain: String,
    handle: Option<i64>,
    rule: String,
    action: String,
    extra: String,
    /// For the message of a failing test.
    #[allow(dead_code, reason = "is printed")]
    event: String,
}

impl Found {
    fn read(batch: &RecordBatch, row: usize) -> Self {
        let text = |name: &str| {
            let column = batch.column_by_name(name)?.as_dictionary::<Int32Type>();
            Some(column.values().as_string::<i32>().value(column.key(row)?).to_owned())
        };
        let handle = batch.column_by_name("handle").map(|c| c.as_primitive::<Int64Type>());
        let words =
            ["family", "hook", "prefix", "in_if", "out_if", "ct_state"].map(|n| text(n).unwrap_or_default());
        Self {
            chain: text("chain").unwrap_or_default(),
            handle: handle.filter(|h| h.is_valid(row)).map(|h| h.value(row)),
            rule: text("rule").unwrap_or_default(),
            action: text("action").unwrap_or_default(),
            extra: text("extra").unwrap_or_default(),
            event: words.join(" "),
        }
    }

    fn candidates(&self) -> usize {
        let extra: serde_json::Value = serde_json::from_str(&self.extra).unwrap_or_default();
        extra["candidates"].as_array().map_or(0, Vec::len)
    }
}

/// Reads a group into columns.
struct Reader {
    socket: NflogSocket,
    buf: RecvBuffer,
    names: InterfaceNames,
    columns: EventColumns,
}

impl Reader {
    fn open(host: &NetNs, group: u16) -> Self {
        let mut config = NflogConfig {
            queue_threshold: 1,
            flush_timeout: Duration::from_millis(10),
            conntrack: true,
            ..NflogConfig::new(group)
        };
        let mut names = InterfaceNames::new();
        let socket = host
            .run(|| {
                _ = config.fit();
                let mut interfaces = Interfaces::open().unwrap();
                for index in 1..20 {
                    if let Some(name) = interfaces.name(index) {
                        names.set(index, name);
                    }
                }
                NflogSocket::open(&config).unwrap()
            })
            .unwrap();
        Self { socket, buf: RecvBuffer::new(), names, columns: EventColumns::new(1000) }
    }

    /// The events that come, until there are as many as expected and for a moment no more.
    fn events(&mut self, expected: usize) -> RecordBatch {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let enough = self.columns.len() >= expected;
            let wait = Duration::from_millis(if enough { 30 } else { 200 });
            match self.socket.recv(&mut self.buf, wait).unwrap() {
                Received::Datagram(bytes) => {
                    for message in Messages::new(bytes).map(Result::unwrap) {
                        let Some(packet) = NflogPacket::from_message(&message) else { continue };
                        let packet = packet.unwrap();
                        if !is_chatter(packet.payload.unwrap_or_default()) {
                            self.columns.push_nflog(&packet, Micros(1), &self.names).unwrap();
                        }
                    }
                }
                Received::Idle if enough || Instant::now() > deadline => return self.columns.finish(),
                Received::Idle => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What IPv6 says by itself: neighbours, routers, groups.
fn is_chatter(packet: &[u8]) -> bool {
    let v6 = packet.len() > 40 && packet[0] >> 4 == 6;
    v6 && (packet[24] == 0xff || (packet[6] == 58 && (130..144).contains(&packet[40])))
}
