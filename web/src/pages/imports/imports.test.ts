import { expect, test } from "vitest";
import { found, parts, progress, type Import } from "./imports.ts";

test("totals are told in order, without what is zero", () => {
  const found = parts({
    records: 10,
    rows: 8,
    events: 7,
    unparsed: 1,
    flows: 0,
    skipped: { "other service": 2, empty: 0 },
    unreadable: ["kern.log.3.gz: cut"],
  });
  expect(found.sums.map((s) => `${s.name} ${s.n}`)).toEqual(["records read 10", "events 7", "not fully understood 1"]);
  expect(found.skipped).toEqual([{ name: "other service", n: 2 }]);
  expect(found.unreadable).toEqual(["kern.log.3.gz: cut"]);
});

test("totals of any form do no harm", () => {
  for (const odd of [null, undefined, 5, "x", [], { skipped: null, unreadable: 3, events: "many" }]) expect(() => parts(odd)).not.toThrow();
});

test("progress needs something delivered", () => {
  expect(progress({ position: 0, committed: 0 } as Import)).toBeUndefined();
  expect(progress({ position: 200, committed: 50 } as Import)).toBe(25);
});

test("imports are found by any of their words", () => {
  const all = [{ name: "/var/log/kern.log", format: "syslog", state: "done" }, { name: "x.pcap", format: "pcap", state: "partial" }] as Import[];
  expect(found(all, "KERN done")).toHaveLength(1);
  expect(found(all, "kern partial")).toHaveLength(0);
  expect(found(all, " ")).toHaveLength(2);
});
