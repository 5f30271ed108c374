import { expect, test } from "vitest";
import { entry, nameable, network } from "./sets.ts";

test("a network is around an address", () => {
  expect(network("203.0.113.9")).toBe("203.0.113.0/24");
  expect(network("2001:db8::9")).toBe("2001:db8::9/48");
});

test("names are those that the server takes", () => {
  expect(["office", "a-b_c.d", "9"].map(nameable)).toEqual([true, true, true]);
  expect(["", "-a", "a b", "@a", 'a"', "é"].map(nameable)).toEqual([false, false, false, false, false, false]);
});

test("a new set is a line, an old one gets a member", () => {
  expect(entry("203.0.113.9", "noise", false)).toBe('noise = ["203.0.113.9"]');
  expect(entry("203.0.113.0/24", "a.b", false)).toBe('"a.b" = ["203.0.113.0/24"]');
  expect(entry("203.0.113.9", "noise", true)).toBe('"203.0.113.9",');
});
