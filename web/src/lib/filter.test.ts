import { describe, expect, test } from "vitest";
import { excluding, fieldOf, including, joined, negated, pieces, quoted, split, term } from "./filter.ts";

describe("a filter is taken apart and put together", () => {
  test.each([
    ["", []],
    ["*", []],
    ["dport:22", ["dport:22"]],
    ["dport:22  -host:web*", ["dport:22", "-host:web*"]],
    ["dport:22 AND host:a", ["dport:22", "host:a"]],
    ["a OR b", ["(a OR b)"]],
    ["(a OR b) c", ["(a OR b)", "c"]],
    ["-(a OR b) c", ["-(a OR b)", "c"]],
    ["NOT a b", ["NOT a", "b"]],
    ["NOT (a b) c", ["NOT (a b)", "c"]],
    ['prefix:"x (y) OR z" a', ['prefix:"x (y) OR z"', "a"]],
    ['prefix:"a\\" OR b" c', ['prefix:"a\\" OR b"', "c"]],
    ["2001:db8::/32 dport:1", ["2001:db8::/32", "dport:1"]],
    ["((a) (b)) c", ["((a) (b))", "c"]],
    ["-dport:* proto:udp", ["-dport:*", "proto:udp"]],
  ])("%s", (text, terms) => {
    expect(split(text)).toEqual(terms);
  });

  test("what is put together is taken apart the same", () => {
    for (const terms of [["a", "-b"], ["(a OR b)"], ["(a OR b)", "-(c d)"], ['prefix:" ) "', "x"]]) {
      expect(split(joined(terms))).toEqual(terms);
    }
  });

  test("pieces are all of the text", () => {
    for (const text of ['a:"b', "((", "-", "- a", "!!x", "dport:22,80 OR -(host:web* x)", "\u202e:(\"\\"]) {
      expect(pieces(text).map((p) => p.text).join("")).toBe(text);
    }
    expect(pieces("dport:22 OR -x").map((p) => p.kind)).toEqual(["field", "value", "space", "or", "space", "not", "word"]);
    expect(pieces("fe80::1").map((p) => p.kind)).toEqual(["word"]);
  });
});

test("values become terms", () => {
  expect(term("src", "203.0.113.9")).toBe("src:203.0.113.9");
  expect(term("dport", 22)).toBe("dport:22");
  expect(term("dport", null)).toBe("-dport:*");
  expect(term("flags", "SYN,ACK")).toBe("(flags:syn flags:ack -flags:fin,rst,psh,urg,ece,cwr,ae)");
  expect(term("prefix", "in-drop: ")).toBe('prefix:"in-drop: "');
  expect(term("rule", 'log prefix "a\\b" drop')).toBe('rule:"log prefix \\"a\\b\\" drop"');
  expect(term("host", "web*")).toBe('host:"web*"');
  expect(quoted("end\\")).toBe('"end\\\\"');
  expect(quoted('\\"')).toBe('"\\\\\\""');
  expect(fieldOf("in_if")).toBe("in");
  expect(fieldOf("host")).toBe("host");
  expect(fieldOf("src")).toBe("src");
  expect(fieldOf("tcp_seq")).toBeUndefined();
});

test("terms are added, turned over and not doubled", () => {
  expect(including("dport:22", "src:1.2.3.4")).toBe("dport:22 src:1.2.3.4");
  expect(including("dport:22 -src:1.2.3.4", "src:1.2.3.4")).toBe("dport:22 src:1.2.3.4");
  expect(including("a OR b", "c")).toBe("(a OR b) c");
  expect(excluding("c (a OR b)", "c")).toBe("(a OR b) -c");
  expect(excluding("", "(a OR b)")).toBe("-(a OR b)");
  expect(negated("NOT x")).toBe("x");
  expect(joined(["(a OR b)"])).toBe("a OR b");
  expect(joined(["(a) (b)"])).toBe("(a) (b)");
});
