import { expect, test } from "vitest";
import { gapMarks, listings, lossMarks, place, ruleMarks } from "./timeline.ts";

const T = Date.parse("2026-11-26T12:00:00Z");
const time = (minutes: number) => new Date(T + minutes * 60_000).toISOString().replace("Z", "123Z");
const row = (minutes: number, generation: string, kernel: number, process?: string) => ({
  time: time(minutes),
  netns: "",
  generation,
  kernel_generation: kernel,
  ...(process ? { process, pid: 7 } : {}),
});
const span = { since: T, until: T + 36e5 };

test("a listing in several parts is one, and it is told what it means", () => {
  const rows = [
    row(50, "bbbbbbbbbb", 2),
    row(40, "bbbbbbbbbb", 9),
    row(30, "bbbbbbbbbb", 9, "nft"),
    row(30, "bbbbbbbbbb", 9, "nft"),
    row(20, "bbbbbbbbbb", 8, "nft"),
    row(-5, "aaaaaaaaaa", 7),
  ];
  const marks = ruleMarks(listings(rows), span);
  expect(marks.map((m) => m.what)).toEqual(["rules changed", "rules loaded", "restart", "restart"]);
  expect(marks[0]!.detail).toBe("aaaaaaaa → bbbbbbbb, by nft (process 7)");
  expect(marks[3]!.detail).toContain("started anew");
});

test("namespaces do not mix", () => {
  const rows = [row(10, "a", 1), { ...row(11, "b", 1), netns: "blue" }];
  expect(ruleMarks(listings(rows), span).map((m) => m.what)).toEqual(["rules first seen", "rules first seen"]);
});

test("losses that go on are one mark", () => {
  const loss = (from: number, to: number, count: number, reason = "spool full") => ({ from: time(from), time: time(to), stage: "spool", reason, count });
  const marks = lossMarks([loss(2, 3, 5), loss(1, 2, 10), loss(10, 11, 1), loss(2, 3, 2, "disk error")]);
  expect(marks.map((m) => m.detail)).toEqual([
    "15 events, spool: spool full",
    "2 events, spool: disk error",
    "1 events, spool: spool full",
  ]);
});

test("what stands beyond the time is cut", () => {
  expect(place({ since: T - 36e5, until: T + 9e5 }, span)).toEqual({ left: 0, width: 25 });
  expect(gapMarks([{ since: 0, until: 300_000, hosts: ["a"] }])[0]!.detail).toContain("5 min");
});
