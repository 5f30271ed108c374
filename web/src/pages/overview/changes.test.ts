import { expect, test } from "vitest";
import { anyOf, before, difference } from "./changes.ts";

test("differences are told in a word", () => {
  expect(difference(5, 5)).toBe("same");
  expect(difference(5, 0)).toBe("new");
  expect(difference(0, 5)).toBe("none now");
  expect(difference(150, 100)).toBe("+50 %");
  expect(difference(40, 100)).toBe("−60 %");
  expect(difference(1003, 1000)).toBe("+0.3 %");
  expect(difference(250, 100)).toBe("×2.5");
  expect(difference(2500, 100)).toBe("×25");
});

test("the time before has the same length", () => {
  expect(before({ since: 100, until: 130 })).toEqual({ since: 70, until: 100 });
});

test("several values are one term", () => {
  expect(anyOf("dport", [22, 80])).toBe("dport:22,80");
  expect(anyOf("rule", ["drop", 'a "b" c'])).toBe('rule:drop,"a \\"b\\" c"');
  expect(anyOf("dport", [])).toBeUndefined();
  expect(anyOf("dport", [null])).toBeUndefined();
  expect(anyOf("src", new Array(1000).fill("2001:db8::1"))).toBeUndefined();
});
