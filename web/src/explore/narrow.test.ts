import { expect, test } from "vitest";
import { narrowed } from "./narrow.ts";

test("texts are looked for anywhere, and nothing in them is a wildcard of their own", () => {
  expect(narrowed("rule", "in drop")).toBe("rule:*in?drop*");
  expect(narrowed("host", ' we"b*) ')).toBe("host:*we?b??*");
});

test("numbers begin with what was typed", () => {
  expect(narrowed("dport", "80")).toBe("dport:80,800-809,8000-8099");
  expect(narrowed("dport", "7")).toBe("dport:7,70-79,700-799,7000-7999");
  expect(narrowed("dport", "6553")).toBe("dport:6553,65530-65535");
  expect(narrowed("dport", "0")).toBe("dport:0");
  expect(narrowed("src.asn", "AS429496729")).toBe("src.asn:429496729,4294967290-4294967295");
  expect(narrowed("dport", "ssh")).toBe("dport:ssh");
});

test("addresses begin with what was typed", () => {
  expect(narrowed("src", "203.0.113.")).toBe("src:203.0.113.0-203.0.113.255");
  expect(narrowed("src", "203.0.113.7")).toBe("src:203.0.113.7,203.0.113.70-203.0.113.79");
  expect(narrowed("src", "203.0.113.77")).toBe("src:203.0.113.77");
  expect(narrowed("src", "198.5")).toBe("src:198.5.0.0-198.5.255.255,198.50.0.0-198.59.255.255");
  expect(narrowed("src", "2001:db8:")).toBe("src:2001:db8:0:0:0:0:0:0-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
  expect(narrowed("src", "2001:db8::")).toBe(narrowed("src", "2001:db8:"));
  expect(narrowed("src", "fe80")).toBe("src:fe80:0:0:0:0:0:0:0-fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  expect(narrowed("src", "20")).toBe(
    "src:20.0.0.0-20.255.255.255,200.0.0.0-209.255.255.255," +
      "20:0:0:0:0:0:0:0-20:ffff:ffff:ffff:ffff:ffff:ffff:ffff,200:0:0:0:0:0:0:0-20f:ffff:ffff:ffff:ffff:ffff:ffff:ffff," +
      "2000:0:0:0:0:0:0:0-20ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  );
  expect(narrowed("src", "10.0.0.0/8")).toBe("src:10.0.0.0/8");
  expect(narrowed("src", "@office")).toBe("src:@office");
  expect(narrowed("src", "300.1")).toBe("src:300.1");
});

test("of what is few, all is asked for", () => {
  expect(narrowed("proto", "t")).toBeUndefined();
  expect(narrowed("flags", "s")).toBeUndefined();
});
