//! The firewall that tests and the soak send to: rules that drop, log what they drop, and count what they log.

use crate::netns::NetNs;
use anyhow::Result;

/// The NFLOG group of every rule.
pub const GROUP: u16 = 5;
/// Where most traffic goes.
pub const PORT: u16 = 9;
/// Where the few packets go that are looked for, or that end a piece of traffic.
pub const MARKER: u16 = 10;

/// Sets it up in a namespace.
///
/// # Errors
/// If `nft` cannot be run or refuses the rules.
pub fn drop_and_count(netns: &NetNs) -> Result<()> {
    let log = |prefix: &str| format!("counter log prefix \"{prefix}-drop: \" group {GROUP} drop");
    let rules = [
        format!("udp dport {PORT} {}", log("udp")),
        format!("udp dport {MARKER} {}", log("marker")),
        format!("tcp dport {PORT} {}", log("tcp")),
        format!("icmp type echo-request {}", log("ping")),
        format!("icmpv6 type echo-request {}", log("ping6")),
    ];
    let chain = "type filter hook input priority filter; policy accept;";
    netns.nft(&format!("table inet f {{\n chain input {{\n {chain}\n {}\n }}\n }}", rules.join("\n")))
}
