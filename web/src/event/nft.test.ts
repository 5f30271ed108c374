import { describe, expect, test } from "vitest";
import type { Row } from "../lib/api.ts";
import { nftRule } from "./nft.ts";

describe("a rule for packets like this one", () => {
  test.each<[Row, string | undefined]>([
    [{ src: "203.0.113.9", proto: "tcp", dport: 22 }, "ip saddr 203.0.113.9 tcp dport 22 drop"],
    [{ src: "2001:db8::1", proto: "udp", dport: 53 }, "ip6 saddr 2001:db8::1 udp dport 53 drop"],
    [{ src: "203.0.113.9", proto: "icmp", icmp_type: 8 }, "ip saddr 203.0.113.9 icmp type 8 drop"],
    [{ src: "fe80::1", proto: "icmpv6", icmp_type: 135 }, "ip6 saddr fe80::1 icmpv6 type 135 drop"],
    [{ src: "fe80::1", proto: "icmpv6" }, "ip6 saddr fe80::1 meta l4proto 58 drop"],
    [{ src: "203.0.113.9", proto: "tcp" }, "ip saddr 203.0.113.9 meta l4proto tcp drop"],
    [{ src: "203.0.113.9", proto: "gre" }, "ip saddr 203.0.113.9 meta l4proto 47 drop"],
    [{ src: "203.0.113.9", proto: "253" }, "ip saddr 203.0.113.9 meta l4proto 253 drop"],
    [{ src: "203.0.113.9" }, "ip saddr 203.0.113.9 drop"],
    [{ proto: "tcp", dport: 22 }, "tcp dport 22 drop"],
    [{ family: "arp", src: "10.0.0.1", icmp_type: 1 }, "arp saddr ip 10.0.0.1 drop"],
    [{}, undefined],
    [{ src: "; reboot", proto: "$(x)", dport: -1 }, undefined],
    [{ src: "1.2.3.4 drop; x", proto: "tcp", dport: 1.5 }, "meta l4proto tcp drop"],
  ])("%o", (row, rule) => {
    expect(nftRule(row)).toBe(rule);
  });

  test("may let pass instead", () => {
    expect(nftRule({ src: "1.2.3.4", proto: "tcp", dport: 22 }, "accept")).toBe("ip saddr 1.2.3.4 tcp dport 22 accept");
  });
});
