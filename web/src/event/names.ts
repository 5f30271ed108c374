// What numbers of protocols are called.

/** The usual names of ports; the server knows more, from its /etc/services. */
const SERVICES: Record<number, string> = {
  7: "echo", 20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "domain", 67: "bootps", 68: "bootpc",
  69: "tftp", 80: "http", 88: "kerberos", 110: "pop3", 111: "sunrpc", 113: "auth", 119: "nntp", 123: "ntp",
  135: "epmap", 137: "netbios-ns", 138: "netbios-dgm", 139: "netbios-ssn", 143: "imap", 161: "snmp", 162: "snmp-trap",
  179: "bgp", 389: "ldap", 443: "https", 445: "microsoft-ds", 465: "submissions", 500: "isakmp", 514: "syslog",
  515: "printer", 546: "dhcpv6-client", 547: "dhcpv6-server", 554: "rtsp", 587: "submission", 631: "ipp", 636: "ldaps",
  853: "domain-s", 873: "rsync", 993: "imaps", 995: "pop3s", 1080: "socks", 1194: "openvpn", 1433: "ms-sql-s",
  1521: "oracle", 1723: "pptp", 1883: "mqtt", 1900: "ssdp", 2049: "nfs", 2375: "docker", 3128: "squid", 3306: "mysql",
  3389: "rdp", 3478: "stun", 4500: "ipsec-nat-t", 5060: "sip", 5061: "sips", 5353: "mdns", 5355: "llmnr",
  5432: "postgresql", 5672: "amqp", 5900: "vnc", 6379: "redis", 6443: "kubernetes", 8080: "http-alt", 8443: "https-alt",
  9200: "elasticsearch", 11211: "memcache", 27017: "mongodb", 51820: "wireguard",
};

/** The usual name of a port. */
export const service = (port: number): string | undefined => SERVICES[port];

/** Names of IP protocols, as the server prints them. */
export const PROTOCOLS: Record<number, string> = {
  0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag",
  46: "rsvp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 59: "ipv6-nonxt", 60: "ipv6-opts", 88: "eigrp", 89: "ospf",
  103: "pim", 112: "vrrp", 132: "sctp", 135: "mobility", 136: "udplite",
};

/** Names of EtherTypes. */
export const ETHER_TYPES: Record<number, string> = {
  0x0800: "IPv4", 0x0806: "ARP", 0x86dd: "IPv6", 0x8100: "VLAN", 0x88a8: "VLAN (802.1ad)", 0x8847: "MPLS", 0x8863: "PPPoE discovery",
  0x8864: "PPPoE", 0x888e: "EAPOL", 0x88cc: "LLDP", 0x88f7: "PTP", 0x9000: "loopback",
};

const ICMP4: Record<number, string> = {
  0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "redirect", 8: "echo request",
  9: "router advertisement", 10: "router solicitation", 11: "time exceeded", 12: "parameter problem",
  13: "timestamp request", 14: "timestamp reply", 17: "address mask request", 18: "address mask reply",
};
const ICMP6: Record<number, string> = {
  1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
  129: "echo reply", 130: "multicast listener query", 131: "multicast listener report", 132: "multicast listener done",
  133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement",
  137: "redirect", 143: "multicast listener report",
};
const UNREACHABLE4: Record<number, string> = {
  0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
  4: "fragmentation needed", 5: "source route failed", 9: "network prohibited", 10: "host prohibited",
  13: "administratively prohibited",
};
const UNREACHABLE6: Record<number, string> = {
  0: "no route", 1: "administratively prohibited", 2: "beyond scope", 3: "address unreachable", 4: "port unreachable",
  5: "source address failed policy", 6: "route rejected",
};

/** What a type of ICMP or ICMPv6 says. */
export const icmpType = (six: boolean, type: number): string | undefined => (six ? ICMP6 : ICMP4)[type];

/** What the code of a type says, where it says something. */
export function icmpCode(six: boolean, type: number, code: number): string | undefined {
  if (six ? type === 1 : type === 3) return (six ? UNREACHABLE6 : UNREACHABLE4)[code];
  if (six ? type === 3 : type === 11) return ["in transit", "reassembly"][code];
  return undefined;
}

/** Operations of ARP. */
export const ARP: Record<number, string> = { 1: "request", 2: "reply", 3: "reverse request", 4: "reverse reply" };

/** Flags of TCP, from the lowest bit. */
export const TCP_FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
