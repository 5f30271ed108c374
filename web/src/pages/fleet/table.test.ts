import { expect, test, vi } from "vitest";
import { clock, find, lineOf, link, rate, sort, spark, text, tone } from "./table.ts";
import type { Host } from "./hosts.ts";

vi.hoisted(() => Object.assign(globalThis, { location: { pathname: "/", search: "" }, addEventListener: () => {} }));

const NOW = Date.parse("2026-11-26T12:00:00Z");
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();
const line = (name: string, more: Partial<Host> = {}) =>
  lineOf(
    {
      name,
      id: "1f",
      reports: "agent",
      first_seen: ago(9999),
      last_contact: ago(1),
      last_event: ago(1),
      events: 1,
      lost: 0,
      cert_not_after: null,
      clock_offset_ms: 0,
      clone_seen: null,
      state: "online",
      ...more,
    },
    [{ name: "web", hosts: ["web*"] }],
    NOW,
  );

test("trouble comes first, and names break ties", () => {
  const lines = [line("b"), line("a"), line("gone", { last_contact: ago(9999) }), line("calm", { last_event: null })];
  expect(sort(lines, "state", false).map((l) => l.host.name)).toEqual(["gone", "calm", "a", "b"]);
  expect(sort(lines, "lost", true).map((l) => l.host.name)).toEqual(["a", "b", "calm", "gone"]);
});

test("a filter means every word, a state and a group", () => {
  const lines = [line("web-1"), line("web-2", { last_event: null }), line("db")];
  expect(find(lines, "WEB live", "", "").map((l) => l.host.name)).toEqual(["web-1"]);
  expect(find(lines, "", "live", "web").map((l) => l.host.name)).toEqual(["web-1"]);
  expect(find(lines, "", "", "")).toHaveLength(3);
});

test("ten thousand hosts are filtered and sorted in no time to speak of", () => {
  const lines = Array.from({ length: 10_000 }, (_, i) => line(`host-${i}`, { lost: i % 7 }));
  expect(sort(find(lines, "host-99", "", ""), "lost", true)).toHaveLength(111);
});

test("what is lost is red, and zero is not", () => {
  expect(tone(line("a", { lost: 3 }), "lost", NOW)).toBe("bad");
  expect(tone(line("a"), "lost", NOW)).toBe("dim");
  expect(link(line("a b", { lost: 3 }), "lost", NOW, { since: NOW, until: NOW })).toBe("/fleet/a%20b?from=-24h&part=losses");
});

test("small things are written small", () => {
  expect([clock(null), clock(40), clock(-2000), clock(250)]).toEqual(["", "0", "−2 s", "+250 ms"]);
  expect([rate(undefined), rate(0), rate(0.01), rate(3.14), rate(1234.5)]).toEqual(["", "0", "0.01", "3.1", "1,235"]);
  expect(spark([0, 1, 4, 8])).toBe("·▂▅█");
  expect(text(line("a", { last_event: null, events: 0 }), "last_event", NOW)).toBe("never");
  expect(text(line("a", { spool_bytes: 2048, spool_oldest: ago(120) }), "spool", NOW)).toBe("2.0 KiB, 2 min");
  // files that hold only what was sent already
  expect(text(line("a", { spool_bytes: 2048, spool_batches: 0, spool_oldest: null }), "spool", NOW)).toBe("0");
});
