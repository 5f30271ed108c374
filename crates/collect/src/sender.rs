//! Who delivers messages, and which host is believed to have written them.
//!
//! The host of a message is, in this order:
//! 1. the listener's `host`; or the name that `hosts` gives the sender's address;
//! 2. the host that the message names, if the sender is believed: `trust` says who is. Where it is not written,
//!    everybody is, except who showed a certificate: that is a host itself. A name of an enrolled agent is believed
//!    only of senders whose network is listed;
//! 3. the name in the sender's certificate, or its address.
//!
//! The column `sender` always has the address or the certificate's name. A name that was not believed is in `extra`.

use crate::agents::Agents;
use crate::rate::Allowance;
use crate::settings::{Listener, Trust};
use bartizan_intake::Whose;
use bartizan_intake::text::{AHEAD, Naming, TextReader};
use bartizan_model::Micros;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

/// Names that hosts have which have none.
const NO_NAMES: [&str; 6] = ["-", "(none)", "localhost", "localhost.localdomain", "localhost6", "127.0.0.1"];

/// Whose word is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Never,
    /// Unless the name is an agent's.
    NoAgents,
    Always,
}

/// Who delivers: one connection, or one address that sends datagrams.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    pub(crate) reader: TextReader,
    pub(crate) allowance: Option<Arc<Allowance>>,
    /// Where the desk counts what is over it.
    pub(crate) over: Option<usize>,
    pub(crate) who: Who,
}

/// Which host wrote what a sender delivers.
#[derive(Debug)]
pub(crate) struct Who {
    /// As the column `sender` has it.
    pub(crate) name: Box<str>,
    /// Of messages that name no host, or whose word is not believed.
    pub(crate) host: Box<str>,
    belief: Belief,
    agents: Arc<Agents>,
    latest: Micros,
    memo: RefCell<Memo>,
}

/// The name that was asked for last: mostly it is the same again.
#[derive(Debug, Default)]
struct Memo {
    named: String,
    believed: bool,
    agents: Option<u64>,
    /// Where the desk counts its messages.
    place: Option<usize>,
}

impl Sender {
    pub(crate) fn new(
        address: IpAddr,
        certificate: Option<&str>,
        listener: &Listener,
        agents: &Arc<Agents>,
        allowance: Option<Arc<Allowance>>,
    ) -> Self {
        let address = address.to_canonical();
        let name: Box<str> = certificate.map_or_else(|| address.to_string().into(), Into::into);
        let given = listener.host.as_ref().or_else(|| listener.hosts.get(&address));
        let belief = match &listener.trust {
            _ if given.is_some() => Belief::Never,
            Trust::Unsaid if certificate.is_some() => Belief::Never,
            Trust::Unsaid | Trust::All => Belief::NoAgents,
            Trust::Networks(networks) if networks.iter().any(|n| n.holds(address)) => Belief::Always,
            Trust::Networks(_) => Belief::Never,
        };
        let host = given.map_or_else(|| name.clone(), |given| given.as_str().into());
        let who = Who {
            name,
            host,
            belief,
            agents: Arc::clone(agents),
            latest: Micros(i64::MAX),
            memo: RefCell::default(),
        };
        Self { address, reader: TextReader::default(), allowance, over: None, who }
    }
}

impl Who {
    /// What comes now was not written after that.
    pub(crate) fn at(&mut self, now: Micros) {
        self.latest = Micros(now.0.saturating_add(AHEAD));
    }

    /// The host of the message that was judged last.
    pub(crate) fn judged<R>(&self, then: impl FnOnce(&str, &mut Option<usize>) -> R) -> R {
        let memo = &mut *self.memo.borrow_mut();
        let host = if memo.believed { &memo.named } else { &*self.host };
        then(host, &mut memo.place)
    }

    fn believes(&self, named: &str) -> bool {
        let version = self.agents.version();
        let mut memo = self.memo.borrow_mut();
        if memo.agents != Some(version) || memo.named != named {
            memo.believed = match self.belief {
                _ if named.is_empty() || NO_NAMES.contains(&named) => false,
                Belief::Never => false,
                Belief::NoAgents => !self.agents.has(named),
                Belief::Always => true,
            };
            memo.agents = Some(version);
            memo.place = None;
            memo.named.clear();
            memo.named.push_str(named);
        }
        memo.believed
    }
}

impl Naming for Who {
    fn whose<'a>(&'a self, named: &'a str) -> Whose<'a> {
        let host = if self.believes(named) { named } else { &self.host };
        Whose { host, sender: &self.name }
    }

    fn keeps(&self, named: &str) -> bool {
        !self.believes(named) && !named.is_empty() && *named != *self.host && !NO_NAMES.contains(&named)
    }

    fn latest(&self) -> Micros {
        self.latest
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::settings::{Speech, WrittenListener, WrittenTrust};

    pub(crate) fn listener(text: &str) -> Listener {
        let address = "address = \"127.0.0.1:0\"\n";
        let written: WrittenListener = bartizan_config::load_from(
            &[bartizan_config::Source { name: "test".into(), text: format!("{address}{text}") }],
            &[],
        )
        .unwrap();
        Listener::new(written).unwrap()
    }

    fn host(listener: &Listener, certificate: Option<&str>, named: &str) -> (String, bool) {
        let agents = Arc::new(Agents::default());
        agents.set(["Web-01".to_owned()]);
        let sender = Sender::new("10.0.0.5".parse().unwrap(), certificate, listener, &agents, None);
        (sender.who.whose(named).host.to_owned(), sender.who.keeps(named))
    }

    #[test]
    fn the_host_is_who_is_believed() {
        let plain = listener("kind = \"syslog-udp\"");
        assert!(plain.speech == Speech::SyslogUdp && plain.trust == Trust::Unsaid);
        let of = |listener: &Listener, certificate, named| {
            let (host, kept) = host(listener, certificate, named);
            format!("{host}{}", if kept { " kept" } else { "" })
        };
        assert_eq!(of(&plain, None, "gw"), "gw");
        assert_eq!(of(&plain, None, ""), "10.0.0.5");
        assert_eq!(of(&plain, None, "localhost"), "10.0.0.5");
        assert_eq!(of(&plain, None, "web-01"), "10.0.0.5 kept", "an agent's name is nobody else's");
        assert_eq!(of(&plain, Some("relay"), "gw"), "relay kept", "a certificate names a host");

        let trusting = |trust: &str| listener(&format!("kind = \"syslog-udp\"\ntrust = {trust}"));
        assert_eq!(of(&trusting("\"none\""), None, "gw"), "10.0.0.5 kept");
        assert_eq!(of(&trusting("\"all\""), Some("relay"), "gw"), "gw");
        assert_eq!(of(&trusting("\"all\""), None, "web-01"), "10.0.0.5 kept");
        assert_eq!(of(&trusting("[\"10.0.0.0/8\"]"), None, "web-01"), "web-01");
        assert_eq!(of(&trusting("[\"192.0.2.0/24\"]"), None, "gw"), "10.0.0.5 kept");

        let named = listener("kind = \"syslog-udp\"\nhosts = { \"10.0.0.5\" = \"web-01\" }");
        assert_eq!(of(&named, None, "OpenWrt"), "web-01 kept");
        let all = listener("kind = \"syslog-udp\"\nhost = \"lab\"\ntrust = \"all\"");
        assert_eq!(of(&all, None, "gw"), "lab kept");
        assert!(matches!(WrittenTrust::Word("x".into()), WrittenTrust::Word(_)));
    }

    #[test]
    fn a_name_is_an_agents_as_soon_as_it_is_enrolled() {
        let agents = Arc::new(Agents::default());
        let sender =
            Sender::new("10.0.0.5".parse().unwrap(), None, &listener("kind = \"syslog-udp\""), &agents, None);
        assert_eq!(sender.who.whose("web-01").host, "web-01");
        agents.set(["web-01".to_owned()]);
        assert_eq!(sender.who.whose("web-01").host, "10.0.0.5");
    }
}
