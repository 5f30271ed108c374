//! Who may say that a packet was logged.
//!
//! Anybody who makes a service log what he sends can make it log the words of a firewall line. So a line counts only
//! if nothing says that another service wrote it:
//! - the kernel, or a program that hands on what a firewall says ([`CARRIERS`]): whatever its message is;
//! - any other program that is named with its number, as in `sshd[77]:` or in the header of RFC 5424: never;
//! - a name without a number may be the prefix itself (`DENY: IN=…`). It is a service if it is known as one
//!   ([`SERVICES`]) or has a slash in it, as Postfix's have; else the words behind `OUT=…` must begin as the kernel's.

use super::envelope::Envelope;
use super::fields::begins_a_packet;
use super::stamp::Stamp;
use bartizan_model::Micros;

/// Programs that hand on what a firewall says.
const CARRIERS: &[&[u8]] = &[
    b"kernel",
    b"vmunix",
    b"klogd",
    b"imklog",
    b"ulogd",
    b"ulogd2",
    b"nflog",
    b"logger",
    b"root",
    b"syslog",
    b"syslogd",
    b"firewall",
    b"iptables",
    b"ip6tables",
    b"nftables",
    b"nft",
    b"netfilter",
    b"ebtables",
    b"arptables",
    b"ufw",
    b"shorewall",
    b"firewalld",
    b"fw",
    b"pvefw-logger",
    b"pve-firewall",
];

/// Services that write about what others send them, and do not always write their number.
const SERVICES: &[&[u8]] = &[
    b"sshd",
    b"sshd-session",
    b"sudo",
    b"su",
    b"cron",
    b"crond",
    b"anacron",
    b"dhcpd",
    b"dhclient",
    b"dhcpcd",
    b"dhcp6c",
    b"odhcpd",
    b"dnsmasq",
    b"dnsmasq-dhcp",
    b"named",
    b"unbound",
    b"postfix",
    b"dovecot",
    b"exim",
    b"sendmail",
    b"sm-mta",
    b"ntpd",
    b"chronyd",
    b"systemd",
    b"networkmanager",
    b"nginx",
    b"httpd",
    b"apache2",
    b"apache",
    b"lighttpd",
    b"haproxy",
    b"squid",
    b"mysqld",
    b"mariadbd",
    b"postgres",
    b"fail2ban",
    b"psad",
    b"snort",
    b"suricata",
    b"sshguard",
    b"crowdsec",
    b"openvpn",
    b"charon",
    b"pluto",
    b"ipsec",
    b"pppd",
    b"hostapd",
    b"wpa_supplicant",
    b"smbd",
    b"nmbd",
    b"login",
    b"polkitd",
    b"dbus",
    b"dbus-daemon",
    b"rsyslogd",
    b"auditd",
    b"snmpd",
    b"vsftpd",
    b"proftpd",
    b"xinetd",
    b"inetd",
    b"stunnel",
    b"slapd",
    b"radiusd",
    b"dropbear",
    b"kubelet",
    b"dockerd",
    b"containerd",
    b"asterisk",
    b"miniupnpd",
    b"avahi-daemon",
    b"bluetoothd",
    b"python",
    b"python3",
    b"perl",
    b"java",
    b"node",
    b"php",
    b"php-fpm",
];

fn one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// The kernel, or a program that hands on what a firewall says.
    Firewall,
    /// Another service.
    Service,
    /// Nobody knows.
    Unknown,
}

fn writer(envelope: &Envelope<'_>, prefix: &[u8]) -> Writer {
    if let Some(program) = envelope.program {
        if one_of(program, CARRIERS) {
            return Writer::Firewall;
        }
        if envelope.numbered || is_service(program) {
            return Writer::Service;
        }
    }
    if envelope.uptime.is_some() {
        return Writer::Firewall;
    }
    if tag(prefix).is_some_and(is_service) { Writer::Service } else { Writer::Unknown }
}

/// Whether a line with this envelope, this prefix, these devices and these words behind them can be a firewall's.
#[inline]
pub(super) fn may_log(envelope: &Envelope<'_>, prefix: &[u8], devices: [&[u8]; 2], tail: &[u8]) -> bool {
    // the way of almost every line
    envelope.program == Some(b"kernel") || may_be(envelope, prefix, devices, tail)
}

#[inline(never)]
fn may_be(envelope: &Envelope<'_>, prefix: &[u8], devices: [&[u8]; 2], tail: &[u8]) -> bool {
    match writer(envelope, prefix) {
        Writer::Firewall => true,
        Writer::Service => false,
        // no device has a slash in its name; a line that ends behind `OUT=` was cut, if it can be nothing else
        Writer::Unknown => {
            let devices = devices.iter().all(|name| memchr::memchr(b'/', name).is_none());
            devices && (begins_a_packet(tail) || envelope.stamp.is_none() && tail.is_empty())
        }
    }
}

/// Whether a line whose beginning is missing can be a firewall's; `rest` is what is left of it before the packet.
pub(super) fn may_be_headless(envelope: &Envelope<'_>, rest: &[u8]) -> bool {
    match writer(envelope, rest) {
        Writer::Firewall => true,
        Writer::Service => false,
        Writer::Unknown => memchr::memchr(b' ', rest.trim_ascii()).is_none() && tag(rest).is_none(),
    }
}

/// The word before the first colon of a prefix, if the colon ends a word.
fn tag(prefix: &[u8]) -> Option<&[u8]> {
    let word = &prefix[..memchr::memchr(b' ', prefix).unwrap_or(prefix.len())];
    let name = word.strip_suffix(b":")?;
    Some(&name[..memchr::memchr(b'[', name).unwrap_or(name.len())])
}

fn is_service(name: &[u8]) -> bool {
    // `systemd-networkd`, `fail2ban.actions`, `su(pam_unix)`, `CRON`
    let stem = name.split(|b| b"(./".contains(b)).next().unwrap_or(name);
    memchr::memchr(b'/', name).is_some() || one_of(stem, SERVICES) || name.starts_with(b"systemd-")
}

/// Programs whose messages may be records of the kernel's audit.
pub(super) fn is_audit(program: &[u8]) -> bool {
    one_of(program, &[b"kernel", b"audit", b"auditd", b"audispd", b"audisp-syslog", b"sedispatch"])
}

/// `type=NETFILTER_PKT msg=audit(1487874761.386:228): …`, or with the number of the type as the kernel prints it:
/// where it begins, its time, and the words behind it.
pub(super) fn audit_record(text: &[u8]) -> Option<(usize, Option<Stamp>, &[u8])> {
    let head =
        [&b"type=NETFILTER_PKT "[..], b"type=1324 "].iter().find_map(|t| memchr::memmem::find(text, t))?;
    let rest = &text[head..];
    let open = memchr::memmem::find(rest, b"audit(")? + 6;
    let close = open + memchr::memchr(b')', &rest[open..])?;
    let tail = rest[close..].strip_prefix(b"):")?;
    Some((head, moment(&rest[open..close]), tail))
}

/// `1487874761.386:228`: seconds, and the number of the record.
fn moment(text: &[u8]) -> Option<Stamp> {
    let text = &text[..memchr::memchr(b':', text).unwrap_or(text.len())];
    let (seconds, fraction) = (text.get(..text.len().checked_sub(4)?)?, text.get(text.len() - 4..)?);
    let millis = super::number::dec::<i64>(fraction.strip_prefix(b".")?)?;
    let seconds = super::number::dec::<i64>(seconds).filter(|s| *s < 1 << 40)?;
    Some(Stamp::Moment(Micros::from_parts(seconds, millis * 1000)))
}

#[cfg(test)]
mod tests {
    use crate::text::{Line, Stamp};
    use bartizan_model::{Action, Micros};

    const PACKET: &str = "IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=1 DPT=22 WINDOW=5 RES=0x00 SYN URGP=0";

    #[test]
    fn other_services_log_no_packets() {
        for head in [
            "Jan  8 03:37:09 gw sshd[77]: Invalid user x ",
            "Jan  8 03:37:09 gw sshd: Invalid user ",
            "Jan  8 03:37:09 gw postfix/smtpd[5]: warning: ",
            "Jan  8 03:37:09 gw postfix/smtpd: warning: ",
            "Jan  8 03:37:09 gw named[5]: client @0x7f 192.0.2.1#53: query: ",
            "Jan  8 03:37:09 gw dhcpd: DHCPREQUEST for ",
            "Jan  8 03:37:09 gw CRON[5]: (root) CMD ",
            "Jan  8 03:37:09 gw su(pam_unix)[5]: ",
            "Jan  8 03:37:09 gw fail2ban.actions[5]: WARNING ",
            "Jan  8 03:37:09 gw systemd-networkd: ",
            "<38>1 2024-01-08T03:37:09Z gw app 77 - - ",
            "<38>1 2024-01-08T03:37:09Z gw sshd - - - ",
            "2024-01-08T03:37:09Z gw psad[5]: ",
        ] {
            let line = format!("{head}{PACKET}");
            assert!(Line::parse(line.as_bytes()).is_none(), "{line}");
        }
        for line in [
            "Jan  8 03:37:09 gw stats: IN=5 OUT=7",
            "Jan  8 03:37:09 gw stats: IN=5 OUT=7 SRC",
            "Jan  8 03:37:09 gw app: path IN=/a OUT=/b PROTO=http from SRC=192.0.2.1",
            "Jan  8 03:37:09 gw proxy[3]: SRC=192.0.2.1 DST=192.0.2.2 LEN=5 PROTO=TCP SPT=1 DPT=2",
        ] {
            assert!(Line::parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn who_hands_on_what_a_firewall_says_is_heard() {
        for (head, prefix) in [
            ("Jan  8 03:37:09 gw kernel: sshd: ", "sshd: "),
            ("Jan  8 03:37:09 gw kernel[0]: x ", "x "),
            ("Jan  8 03:37:09 gw ulogd[77]: x ", "x "),
            ("Jan  8 03:37:09 gw iptables[77]: x ", "x "),
            ("Jan  8 03:37:09 gw DENY: ", "DENY: "),
            ("Jan  8 03:37:09 gw our-fw: ", "our-fw: "),
            ("<4>1 2024-01-08T03:37:09Z gw fw01 - - - x ", "x "),
            ("<4>1 2024-01-08T03:37:09Z gw kernel 7 - - x ", "x "),
        ] {
            let line = format!("{head}{PACKET}");
            let read = Line::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((read.prefix, read.problem), (prefix.as_bytes(), None), "{line}");
        }
    }

    #[test]
    fn records_of_audit() {
        let read = |line: &'static str| Line::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let line = read(
            "type=NETFILTER_PKT msg=audit(1487874761.386:228):  mark=0xae8a2732 saddr=127.0.0.1 daddr=127.0.0.1 proto=6",
        );
        assert_eq!(line.envelope.stamp, Some(Stamp::Moment(Micros(1_487_874_761_386_000))));
        assert_eq!((line.mark, line.headers.proto, line.problem), (0xae8a_2732, Some(6), None));
        let line = read(
            "Jan  8 03:37:09 gw kernel: [ 12.5] audit: type=1324 audit(1487874761.386:228): action=1 hook=1 len=60 inif=eth0 outif=? smac=00:13:46:3a:41:36 dmac=00:1b:b9:76:9c:e4 macproto=0x0800 saddr=192.0.2.1 daddr=198.51.100.2 ipid=7 proto=6 sport=1 dport=22",
        );
        assert_eq!(
            (line.in_if, line.action, line.envelope.host),
            (&b"eth0"[..], Some(Action::Drop), Some(&b"gw"[..]))
        );
        let mut details = String::new();
        line.details(&mut details);
        assert_eq!((line.problem, details.as_str()), (None, r#"{"hook":"1","len":"60"}"#));
        let forged = "Jan  8 03:37:09 gw sshd[7]: user type=NETFILTER_PKT msg=audit(1.000:1): saddr=192.0.2.1 daddr=192.0.2.1 proto=6";
        assert!(Line::parse(forged.as_bytes()).is_none());
        let config = "type=NETFILTER_CFG msg=audit(1487874761.386:228): table=filter family=2 entries=0";
        assert!(Line::parse(config.as_bytes()).is_none());
    }

    #[test]
    fn lines_with_one_device_or_tabs() {
        let read = |line: &'static str| Line::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let line = read(
            "101 6 PVEFW-HOST-IN 02/Mar/2021:19:40:22 +0100 policy DROP: IN=enp1s0f0 MAC=a8:1e:84:96:92:20:a0:93:51:b7:50:73:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=40 TOS=0x00 PREC=0x00 TTL=241 ID=54321 PROTO=TCP SPT=46363 DPT=8123 SEQ=3807223242 ACK=0 WINDOW=65535 SYN",
        );
        assert_eq!(
            (line.in_if, line.out_if, line.prefix),
            (&b"enp1s0f0"[..], &b""[..], &b"policy DROP: "[..])
        );
        assert_eq!(line.envelope.stamp, Some(Stamp::Moment(Micros(1_614_710_422_000_000))));
        let mut details = String::new();
        line.details(&mut details);
        assert_eq!((line.problem, details.as_str()), (None, r#"{"guest":"101","chain":"PVEFW-HOST-IN"}"#));
        let line = read(
            "Jan  8 03:37:09 gw kernel: out OUT=eth1 SRC=192.0.2.1 DST=198.51.100.2 LEN=36 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=2",
        );
        assert_eq!((line.out_if, line.in_if, line.prefix), (&b"eth1"[..], &b""[..], &b"out "[..]));
        let line = read(
            "Jan  8 03:37:09\tgw\tkernel:\tx IN=eth0\tOUT=\tSRC=192.0.2.1\tDST=198.51.100.2\tLEN=36 PROTO=2 \t#015\r\n",
        );
        assert_eq!((line.prefix, line.problem, line.headers.length), (&b"x "[..], None, Some(36)));
        assert_eq!(line.envelope.host, Some(&b"gw"[..]));
    }

    #[test]
    fn lines_of_ebtables() {
        let line = "Jan  8 03:37:09 gw kernel: br: IN=eth0 OUT=eth1 MAC source = 00:13:46:3a:41:36 MAC dest = 00:1b:b9:76:9c:e4 proto = 0x0800 IP SRC=192.0.2.1 IP DST=198.51.100.2, IP tos=0x10, IP proto=17 SPT=53 DPT=5353";
        let read = Line::parse(line.as_bytes()).unwrap();
        assert_eq!((read.prefix, read.problem, read.headers.proto), (&b"br: "[..], None, Some(17)));
        assert_eq!((read.headers.tos, read.link.ether_type), (Some(0x10), Some(0x0800)));
        assert!(read.headers.src.is_some() && read.headers.dst.is_some() && read.link.mac_dst.is_some());
        let line = "IN=eth0 OUT= MAC source = 00:13:46:3a:41:36 MAC dest = ff:ff:ff:ff:ff:ff proto = 0x0806 ARP HTYPE=1, PTYPE=0x0800, OPCODE=1 ARP MAC SRC=00:13:46:3a:41:36 ARP IP SRC=192.0.2.1 ARP MAC DST=00:00:00:00:00:00 ARP IP DST=192.0.2.2";
        let read = Line::parse(line.as_bytes()).unwrap();
        assert_eq!((read.problem, read.headers.upper), (None, crate::packet::Upper::Arp(1)));
        assert!(read.headers.src.is_some() && read.headers.dst.is_some());
        let cut = "IN=eth0 OUT= MAC source = 00:13:46:3a:41:36 MAC de";
        assert!(Line::parse(cut.as_bytes()).unwrap().problem.is_some());
    }
}
