import { expect, test } from "vitest";
import { visit } from "./visit.ts";

const min = 60_000;

test("the first look has nothing before it, also when it goes on", () => {
  const first = visit("", 1000 * min);
  expect(first.since).toBeUndefined();
  expect(visit(first.note, 1010 * min).since).toBeUndefined();
});

test("after a pause, what was last seen is where it ended", () => {
  let noted = visit("", 1000 * min).note;
  noted = visit(noted, 1020 * min).note;
  noted = visit(noted, 1040 * min).note;
  const next = visit(noted, 1500 * min);
  expect(next.since).toBe(1040 * min);
  expect(visit(next.note, 1501 * min).since).toBe(1040 * min);
});

test("what makes no sense is no visit", () => {
  expect(visit("x/y/z", 5).since).toBeUndefined();
  expect(visit("9/99999999999999", 5 * min).since).toBeUndefined();
});
