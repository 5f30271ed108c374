import { expect, test } from "vitest";
import { fields, word } from "./completion.ts";

test.each([
  ["", 0, { start: 0, end: 0, field: undefined, typed: "" }],
  ["dp", 2, { start: 0, end: 2, field: undefined, typed: "dp" }],
  ["a dport:2", 9, { start: 8, end: 9, field: "dport", typed: "2" }],
  ["dport:", 6, { start: 6, end: 6, field: "dport", typed: "" }],
  ["-host:we x", 8, { start: 6, end: 8, field: "host", typed: "we" }],
  ["dport:22,4", 10, { start: 9, end: 10, field: "dport", typed: "4" }],
  ["dport:22 ", 9, { start: 9, end: 9, field: undefined, typed: "" }],
  ["(sr", 3, { start: 1, end: 3, field: undefined, typed: "sr" }],
])("the word in %j at %i", (text, caret, expected) => {
  expect(word(text, caret)).toEqual(expected);
});

test("fields are offered", () => {
  expect(fields("dp").map((o) => o.text)).toEqual(["dport:"]);
  expect(fields("src").map((o) => o.text)).toContain("src.asn:");
  expect(fields("stage")).toEqual([]);
});
