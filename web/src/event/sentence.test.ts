import { describe, expect, test } from "vitest";
import type { Row } from "../lib/api.ts";
import { sentence } from "./sentence.ts";

const TCP: Row = {
  host: "web", action: "drop", family: "ip", proto: "tcp", tcp_flags: "SYN", src: "203.0.113.9", src_asn: 64500,
  src_country: "NL", sport: 40297, dst: "198.51.100.2", dport: 22, in_if: "eth0", packets: 1,
};

describe("one event in one sentence", () => {
  test.each<[string, Row, string]>([
    [
      "TCP with all there is", TCP,
      "web dropped a TCP SYN from 203.0.113.9 (AS64500, NL) port 40297 to 198.51.100.2 port 22 (ssh), arriving at eth0",
    ],
    ["a rejected one", { ...TCP, action: "reject", src_asn: null, src_country: null }, "web rejected a TCP SYN from 203.0.113.9 port 40297 to 198.51.100.2 port 22 (ssh), arriving at eth0"],
    ["other flags", { host: "a", action: "accept", proto: "tcp", tcp_flags: "PSH,ACK", src: "::1", dst: "::2" }, "a accepted a TCP packet (PSH ACK) from ::1 to ::2"],
    ["an answer", { host: "a", action: "log", proto: "tcp", tcp_flags: "SYN,ACK", src: "::1" }, "a logged a TCP SYN-ACK from ::1"],
    ["no flags at all", { host: "a", action: "drop", proto: "tcp", tcp_flags: "NONE" }, "a dropped a TCP packet without flags"],
    ["flags that are not known", { host: "a", action: "drop", proto: "tcp" }, "a dropped a TCP packet"],
    ["UDP that passes through", { host: "gw", action: "accept", proto: "udp", src: "10.0.0.1", sport: 5353, dst: "224.0.0.251", dport: 5353, in_if: "lan", out_if: "wan" }, "gw accepted a UDP packet from 10.0.0.1 port 5353 to 224.0.0.251 port 5353 (mdns), on its way from lan to wan"],
    ["what a user sends", { host: "a", action: "reject", proto: "udp", dst: "10.0.0.1", dport: 40000, out_if: "eth1", uid: 1000 }, "a rejected a UDP packet to 10.0.0.1 port 40000, leaving by eth1, of user 1000"],
    ["many equal ones", { ...TCP, packets: 1234 }, "web dropped 1,234 equal TCP SYN packets from 203.0.113.9 (AS64500, NL) port 40297 to 198.51.100.2 port 22 (ssh), arriving at eth0"],
    ["many with flags", { host: "a", action: "drop", proto: "tcp", tcp_flags: "ACK,FIN", packets: 2 }, "a dropped 2 equal TCP packets (ACK FIN)"],
    ["ICMP", { host: "a", action: "drop", proto: "icmp", icmp_type: 8, icmp_code: 0, src: "1.2.3.4", dst: "5.6.7.8" }, "a dropped an ICMP echo request from 1.2.3.4 to 5.6.7.8"],
    ["ICMPs", { host: "a", action: "drop", proto: "icmpv6", icmp_type: 135, packets: 3 }, "a dropped 3 equal ICMPv6 neighbour solicitation packets"],
    ["a type without a name", { host: "a", action: "drop", proto: "icmp", icmp_type: 99, icmp_code: 7 }, "a dropped an ICMP type 99 (code 7)"],
    [
      "an ICMP error and what it quotes",
      { host: "a", action: "drop", proto: "icmp", icmp_type: 3, icmp_code: 3, src: "10.0.0.9", dst: "10.0.0.1", in_if: "eth0", inner_proto: "udp", inner_src: "10.0.0.1", inner_sport: 5000, inner_dst: "10.0.0.9", inner_dport: 53 },
      "a dropped an ICMP destination unreachable (port unreachable) from 10.0.0.9 to 10.0.0.1, arriving at eth0, about a UDP packet from 10.0.0.1 port 5000 to 10.0.0.9 port 53 (domain)",
    ],
    ["ARP", { host: "br", action: "drop", family: "arp", ether_type: 0x806, icmp_type: 1, src: "10.0.0.1", dst: "10.0.0.2", in_if: "br0" }, "br dropped an ARP request from 10.0.0.1 about 10.0.0.2, arriving at br0"],
    ["a bridge's ports", { ...TCP, in_if: "br0", phys_in: "veth1", out_if: "br0", phys_out: "veth2", vlan: 12 }, "web dropped a TCP SYN from 203.0.113.9 (AS64500, NL) port 40297 to 198.51.100.2 port 22 (ssh) in VLAN 12, on its way from br0 (port veth1) to br0 (port veth2)"],
    ["a frame that is no IP", { host: "br", action: "drop", family: "bridge", ether_type: 0x88cc, mac_src: "02:00:00:00:00:01", mac_dst: "01:80:c2:00:00:0e" }, "br dropped an LLDP frame from 02:00:00:00:00:01 to 01:80:c2:00:00:0e"],
    ["a frame of an unknown type", { host: "br", action: "log", ether_type: 0x1234 }, "br logged a 0x1234 frame"],
    ["a later fragment", { host: "a", action: "drop", proto: "udp", frag: 0x2010, src: "1.2.3.4" }, "a dropped a UDP fragment from 1.2.3.4"],
    ["a protocol without a name", { host: "a", action: "drop", proto: "253", src: "1.2.3.4" }, "a dropped an IP protocol 253 packet from 1.2.3.4"],
    ["a protocol by name", { host: "a", action: "drop", proto: "sctp", packets: 1 }, "a dropped an SCTP packet"],
    ["only an address", { host: "a", action: "log", src: "1.2.3.4" }, "a logged an IP packet from 1.2.3.4"],
    ["nothing", {}, "A host logged a packet"],
    ["an action that is not known", { host: "a", action: "queue" }, "a logged (queue) a packet"],
  ])("%s", (_name, row, words) => {
    expect(sentence(row)).toBe(words);
  });
});
