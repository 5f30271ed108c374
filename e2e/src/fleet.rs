//! A small fleet with rules that people really write: a web server, a database and a bastion, each behind a
//! router that stands for the Internet.
//!
//! ```text
//!              internet  (customers 192.0.2.0/24, strangers 203.0.113.0/24, 2001:db8:bad::/64 on its loopback)
//!             /    |    \
//!   198.51.100.2   .18   .34       each link a /28 and a /64, the router has the first address
//!           web    db    bastion
//! ```
//! Every packet that a rule logs goes to NFLOG group [`GROUP`] and is counted by the same rule. What the firewall
//! lets in finds a listener, so that connections come about.

use crate::netns::{End, NetNs};
use anyhow::{Context as _, Result};
use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    thread,
};

/// The NFLOG group of every rule here.
pub const GROUP: u16 = 5;

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// 80 and 443 for everybody, 22 from the bastion.
    Web,
    /// 5432 from the web server, 22 from the bastion; nothing goes out.
    Db,
    /// 22 from the administrators' network.
    Bastion,
}

impl Role {
    /// One of each.
    pub const ALL: [Self; 3] = [Self::Web, Self::Db, Self::Bastion];

    /// The host's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Db => "db",
            Self::Bastion => "bastion",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Web => 0,
            Self::Db => 1,
            Self::Bastion => 2,
        }
    }

    /// Its IPv4 address.
    #[must_use]
    pub const fn v4(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.number() * 16 + 2)
    }

    /// Its IPv6 address.
    #[must_use]
    pub const fn v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, self.number() as u16 + 1, 0, 0, 0, 0, 2)
    }

    /// Ports on which somebody answers.
    const fn listens(self) -> &'static [u16] {
        match self {
            Self::Web => &[22, 80, 443],
            Self::Db => &[22, 5432],
            Self::Bastion => &[22],
        }
    }

    /// Its ruleset, for `nft -f`.
    #[must_use]
    pub fn ruleset(self) -> String {
        let (web, bastion) = (Self::Web, Self::Bastion);
        let allowed = match self {
            Self::Web => format!(
                "tcp dport {{ 80, 443 }} ct state new accept
                 ip saddr {b4} tcp dport 22 ct state new accept
                 ip6 saddr {b6} tcp dport 22 ct state new accept",
                b4 = bastion.v4(),
                b6 = bastion.v6()
            ),
            Self::Db => format!(
                "ip saddr {w4} tcp dport 5432 ct state new accept
                 ip6 saddr {w6} tcp dport 5432 ct state new accept
                 ip saddr {b4} tcp dport 22 ct state new accept
                 tcp dport 5432 counter log prefix \"db-stranger-reject: \" group {GROUP} reject with tcp reset",
                w4 = web.v4(),
                w6 = web.v6(),
                b4 = bastion.v4()
            ),
            Self::Bastion => "ip saddr 192.0.2.0/28 tcp dport 22 ct state new accept".to_owned(),
        };
        let output = match self {
            Self::Db => format!(
                "chain output {{
                    type filter hook output priority filter; policy accept;
                    oif lo accept
                    ct state established,related accept
                    icmpv6 type {QUIET} accept
                    ct state new counter log prefix \"db-out-reject: \" group {GROUP} reject
                }}"
            ),
            _ => String::new(),
        };
        format!(
            "table inet filter {{
                chain input {{
                    type filter hook input priority filter; policy drop;
                    iif lo accept
                    icmpv6 type {QUIET} accept
                    icmp type echo-request limit rate 5/second accept
                    icmpv6 type echo-request limit rate 5/second accept
                    icmp type echo-request counter log prefix \"in-ping-drop: \" group {GROUP} drop
                    icmpv6 type echo-request counter log prefix \"in-ping-drop: \" group {GROUP} drop
                    ct state established,related accept
                    ct state invalid counter log prefix \"in-invalid-drop: \" group {GROUP} drop
                    {allowed}
                    tcp dport 22 counter log prefix \"in-ssh-drop: \" group {GROUP} drop
                    counter log prefix \"in-default-drop: \" group {GROUP} drop
                }}
                {output}
            }}"
        )
    }
}

/// What every link says all the time; no host logs it.
const QUIET: &str = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert, \
                     mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }";

/// One host of the fleet.
#[derive(Debug)]
pub struct Host {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub netns: NetNs,
}

/// The router and the hosts behind it.
#[derive(Debug)]
pub struct Fleet {
    /// Where everybody else is.
    pub internet: NetNs,
    /// One of each role.
    pub hosts: Vec<Host>,
}

impl Fleet {
    /// Makes the namespaces, links and listeners. There are no rules yet: see [`Fleet::protect`].
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn new() -> Result<Self> {
        let internet = NetNs::new("internet")?;
        internet.sysctl("net.ipv4.ip_forward", "1")?;
        internet.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        // Every address of these networks is here; with IPv6 that takes a route, and leave to use them.
        internet.ip("address add 192.0.2.1/24 dev lo")?;
        internet.ip("address add 203.0.113.1/24 dev lo")?;
        internet.ip("-6 route add local 2001:db8:bad::/64 dev lo")?;
        internet.sysctl("net.ipv6.ip_nonlocal_bind", "1")?;
        let hosts = Role::ALL.into_iter().map(|role| host(&internet, role)).collect::<Result<_>>()?;
        Ok(Self { internet, hosts })
    }

    /// Loads every host's ruleset. From here on refused packets are logged and counted.
    ///
    /// # Errors
    /// With what `nft` said.
    pub fn protect(&self) -> Result<()> {
        for host in &self.hosts {
            host.netns.nft(&host.role.ruleset()).with_context(|| format!("rules of {}", host.role.name()))?;
        }
        Ok(())
    }

    /// The sum of the packet counters of every rule that logs.
    ///
    /// # Errors
    /// When nft fails.
    pub fn counted(&self) -> Result<u64> {
        self.hosts.iter().map(|host| host.netns.counted(GROUP)).sum()
    }

    /// The host of a role.
    #[must_use]
    pub fn host(&self, role: Role) -> &Host {
        &self.hosts[usize::from(role.number())]
    }
}

fn host(internet: &NetNs, role: Role) -> Result<Host> {
    let netns = NetNs::new(role.name())?;
    let (n, name) = (role.number(), role.name());
    let router4 = Ipv4Addr::new(198, 51, 100, n * 16 + 1);
    let router6 = format!("2001:db8:{}::1", n + 1);
    NetNs::link(
        End { netns: internet, name, addresses: &[&format!("{router4}/28"), &format!("{router6}/64")] },
        End {
            netns: &netns,
            name: "eth0",
            addresses: &[&format!("{}/28", role.v4()), &format!("{}/64", role.v6())],
        },
    )?;
    netns.ip(&format!("route add default via {router4}"))?;
    netns.ip(&format!("-6 route add default via {router6}"))?;
    for port in role.listens() {
        let listener = netns.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)))?;
        answer(listener.with_context(|| format!("listen on {port}"))?);
    }
    Ok(Host { role, netns })
}

/// Says a word to everybody who comes, until the program ends.
fn answer(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut s| s.write_all(b"hello\r\n"));
        }
    });
}

/// The `n`th customer, stranger or administrator.
#[must_use]
pub fn customer(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 16 + n % 200).into()
}

/// Somebody whom no rule lets in anywhere but at the web server.
#[must_use]
pub fn stranger(n: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, n.max(1)).into()
}

/// The same with IPv6.
#[must_use]
pub fn stranger6(n: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, n.max(1)).into()
}

/// Somebody whom the bastion lets in.
#[must_use]
pub fn admin(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 2 + n % 12).into()
}
