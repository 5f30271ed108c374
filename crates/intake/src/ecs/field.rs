use super::IGNORED;
use crate::json::unescape;
use crate::ulogd::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        /// A field of a document.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $($field,)* }

        impl Field {
            pub(super) const ALL: &[Self] = &[$(Self::$field,)*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
        }
    };
}

fields! {
    Time "@timestamp",
    Original "event.original",
    LogOriginal "log.original",
    Message "message",
    Observer "observer.name",
    ObserverHost "observer.hostname",
    HostName "host.hostname",
    Host "host.name",
    AgentHost "agent.hostname",
    Agent "agent.name",
    Action "event.action",
    Outcome "event.outcome",
    Source "source.ip",
    SourceAddress "source.address",
    SourcePort "source.port",
    SourceMac "source.mac",
    Destination "destination.ip",
    DestinationAddress "destination.address",
    DestinationPort "destination.port",
    DestinationMac "destination.mac",
    Transport "network.transport",
    Protocol "network.iana_number",
    NetworkType "network.type",
    In "iptables.input_device",
    Out "iptables.output_device",
    Ingress "observer.ingress.interface.name",
    Egress "observer.egress.interface.name",
    IngressZone "observer.ingress.zone",
    EgressZone "observer.egress.zone",
    EtherType "iptables.ether_type",
    Length "iptables.length",
    Tos "iptables.tos",
    Precedence "iptables.precedence_bits",
    Ttl "iptables.ttl",
    Id "iptables.id",
    FragmentFlags "iptables.fragment_flags",
    FragmentOffset "iptables.fragment_offset",
    FlowLabel "iptables.flow_label",
    IcmpType "iptables.icmp.type",
    IcmpCode "iptables.icmp.code",
    IcmpId "iptables.icmp.id",
    IcmpSequence "iptables.icmp.seq",
    IcmpParameter "iptables.icmp.parameter",
    IcmpRedirect "iptables.icmp.redirect",
    TcpFlags "iptables.tcp.flags",
    TcpSequence "iptables.tcp.seq",
    TcpAcknowledged "iptables.tcp.ack",
    TcpWindow "iptables.tcp.window",
    TcpReserved "iptables.tcp.reserved_bits",
    UdpLength "iptables.udp.length",
    Incomplete "iptables.incomplete_bytes",
    RuleSet "iptables.ubiquiti.rule_set",
    RuleNumber "iptables.ubiquiti.rule_number",
    InputZone "iptables.ubiquiti.input_zone",
    OutputZone "iptables.ubiquiti.output_zone",
    RuleName "rule.name",
    RuleId "rule.id",
}

/// The fields of one document.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    values: [Value<'a>; Field::ALL.len()],
    /// Names and values of the others.
    pub(super) others: Vec<(String, Value<'a>)>,
    pub(super) tcp_flags: Option<u16>,
    pub(super) fragment_flags: u16,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            values: [Value::Null; Field::ALL.len()],
            others: Vec::new(),
            tcp_flags: None,
            fragment_flags: 0,
        }
    }
}

static NAMES: LazyLock<HashMap<&str, Field>> =
    LazyLock::new(|| Field::ALL.iter().map(|field| (field.name(), *field)).collect());

impl<'a> Fields<'a> {
    /// Whether a name is one of a field.
    pub(super) fn knows(path: &str) -> bool {
        NAMES.contains_key(path)
    }

    /// Takes a value; the first one of an array, but for flags.
    pub(super) fn add(&mut self, path: &str, value: Value<'a>) {
        match NAMES.get(path) {
            _ if value == Value::Null => {}
            Some(Field::TcpFlags) => {
                for bit in words(value).iter().filter_map(|word| tcp_flag(word)) {
                    *self.tcp_flags.get_or_insert(0) |= bit;
                }
            }
            Some(Field::FragmentFlags) => {
                self.fragment_flags |=
                    words(value).iter().map(|word| fragment_flag(word)).fold(0, |a, b| a | b);
            }
            Some(field) => {
                let slot = &mut self.values[*field as usize];
                if *slot == Value::Null {
                    *slot = value;
                }
            }
            None if IGNORED.iter().any(|ignored| path.starts_with(ignored)) => {}
            None => self.others.push((path.to_owned(), value)),
        }
    }

    pub(super) const fn get(&self, field: Field) -> Value<'a> {
        self.values[field as usize]
    }

    /// A text, if it is not empty.
    pub(super) fn text(&self, field: Field) -> Option<Cow<'a, [u8]>> {
        let text = match self.get(field) {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Escaped(text) => Cow::Owned(unescape(text)),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// A number that fits.
    pub(super) fn number<T: TryFrom<u64>>(&self, field: Field) -> Option<T> {
        let number = match self.get(field) {
            Value::Int(n) => u64::try_from(n).ok()?,
            Value::Unsigned(n) => n,
            Value::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok()?,
            _ => return None,
        };
        T::try_from(number).ok()
    }

    /// Whether it tells of a packet at all.
    pub(super) fn is_packet(&self) -> bool {
        let some = |field: &Field| self.get(*field) != Value::Null;
        let packet = [
            Field::Source,
            Field::Destination,
            Field::In,
            Field::Out,
            Field::SourceMac,
            Field::DestinationMac,
        ];
        packet.iter().any(some)
    }
}

fn words(value: Value<'_>) -> Vec<String> {
    match value {
        Value::Text(text) => {
            String::from_utf8_lossy(text).split_ascii_whitespace().map(str::to_ascii_uppercase).collect()
        }
        _ => Vec::new(),
    }
}

fn tcp_flag(word: &str) -> Option<u16> {
    let words = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
    words.iter().position(|w| *w == word).map(|bit| 1 << bit)
}

fn fragment_flag(word: &str) -> u16 {
    match word {
        "CE" => 0x8000,
        "DF" => 0x4000,
        "MF" => 0x2000,
        _ => 0,
    }
}
