import { describe, expect, test } from "vitest";
import { diff, diffLines, diffWords, hunks } from "./diff.ts";

const short = (parts: { kind: string; text: string }[]) =>
  parts.map((p) => ({ same: " ", gone: "-", new: "+" })[p.kind] + p.text);

describe("lines", () => {
  test.each([
    ["a\nb\nc\n", "a\nb\nc\n", [" a", " b", " c"]],
    ["a\nb\nc\n", "a\nx\nc\n", [" a", "-b", "+x", " c"]],
    ["", "a\nb\n", ["+a", "+b"]],
    ["a\n", "", ["-a"]],
    ["a\nb\n", "b\na\n", ["-a", " b", "+a"]],
    ["a\na\na\n", "a\na\n", [" a", " a", "-a"]],
    ["", "", []],
  ])("%o to %o", (before, after, parts) => {
    expect(short(diffLines(before, after))).toEqual(parts);
  });

  test("have the numbers of both texts", () => {
    expect(diffLines("a\nb\nc", "a\nc\nd")).toEqual([
      { kind: "same", text: "a", before: 1, after: 1 },
      { kind: "gone", text: "b", before: 2 },
      { kind: "same", text: "c", before: 3, after: 2 },
      { kind: "new", text: "d", after: 3 },
    ]);
  });

  test("far from a change are left out", () => {
    const before = Array.from({ length: 20 }, (_, i) => `l${i}`);
    const after = before.with(10, "x");
    const shown = hunks(diffLines(before.join("\n"), after.join("\n")), 1);
    expect(shown.map((line) => line && short([line])[0])).toEqual([undefined, " l9", "-l10", "+x", " l11", undefined]);
    expect(hunks(diffLines("a", "a"))).toEqual([undefined]);
    expect(hunks([])).toEqual([]);
  });
});

test("words of a rule", () => {
  expect(diffWords("tcp dport 22 drop", "tcp dport { 22, 2222 } drop")).toEqual([
    { kind: "same", text: "tcp dport " },
    { kind: "new", text: "{ " },
    { kind: "same", text: "22" },
    { kind: "new", text: ", 2222 }" },
    { kind: "same", text: " drop" },
  ]);
});

test("whatever is compared, both texts can be read from the parts", () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 300; round++) {
    const list = () => Array.from({ length: random(12) }, () => "abc"[random(3)]!);
    const [a, b] = [list(), list()];
    const parts = diff(a, b);
    expect(parts.filter((p) => p.kind !== "new").map((p) => p.text)).toEqual(a);
    expect(parts.filter((p) => p.kind !== "gone").map((p) => p.text)).toEqual(b);
  }
  // too large for the table: nothing in the middle is taken for the same
  const [a, b] = [Array.from({ length: 3000 }, (_, i) => `a${i}`), Array.from({ length: 3000 }, (_, i) => `b${i}`)];
  expect(diff(["x", ...a], ["x", ...b])).toHaveLength(6001);
});
