import { expect, test } from "vitest";
import { bars, gaps } from "./bars.ts";

const T = Date.parse("2026-01-01T00:00:00Z");
const at = (minute: number, more: object) => ({ time: new Date(T + minute * 60_000).toISOString(), ...more });

test("rows become bars, and none are lost", () => {
  const b = bars(
    [at(0, { action: "drop", rows: 2 }), at(2, { action: "log", rows: 3 }), at(2, { action: "reject", rows: 1 })],
    T + 10_000,
    T + 150_000,
    60,
  );
  expect(b.start).toBe(T);
  expect(b.parts).toEqual({ drop: [2, 0, 0], reject: [0, 0, 1], accept: [0, 0, 0], other: [0, 0, 3] });
  expect(b.total).toBe(6);
});

test("a host that was silent between reports leaves a gap", () => {
  const heard = [0, 1, 3].map((m) => at(m, { host: "a" })).concat([0, 1, 2, 3, 4].map((m) => at(m, { host: "b" })));
  expect(gaps(heard, T, T + 300_000, 60)).toEqual([{ since: T + 120_000, until: T + 180_000, hosts: ["a"] }]);
  expect(gaps(heard, T, T + 300_000, 120)).toEqual([]);
  expect(gaps([], T, T + 300_000, 60)).toEqual([]);
});
