import { expect, test } from "vitest";
import { ago, bar, length, long, moment, short, since, span } from "./time.ts";

const NOW = Date.parse("2026-03-04T05:06:07.089Z");

test("ranges are relative or moments", () => {
  expect(ago("-15m")).toBe(900_000);
  expect(ago("15m")).toBeUndefined();
  expect(moment("-1h", NOW)).toBe(NOW - 3_600_000);
  expect(moment("2026-03-04T05:06:07.089123Z", NOW)).toBe(NOW);
  expect(moment("yesterday", NOW)).toBeUndefined();
  expect(span({ from: "-1h" }, NOW)).toEqual({ since: NOW - 3_600_000, until: NOW });
  expect(span({ from: "-1h", to: "-2h" }, NOW)).toBeUndefined();
});

test("bars are 60 to 240, or as many as a second allows", () => {
  for (const minutes of [5, 15, 60, 360, 1440, 10080, 43200, 525600]) {
    const s = { since: 0, until: minutes * 60_000 };
    const count = (minutes * 60) / bar(s);
    expect(count).toBeGreaterThanOrEqual(minutes === 525600 ? 50 : 24);
    expect(count).toBeLessThanOrEqual(120);
  }
  expect(bar({ since: 0, until: 10_000 })).toBe(1);
});

test("moments are written", () => {
  expect(long(NOW, true)).toBe("2026-03-04 05:06:07.089");
  expect(short(NOW, true, NOW)).toBe("05:06:07.089");
  expect(short(NOW - 864e5, true, NOW)).toBe("03-03 05:06:07.089");
  expect(length(61_000)).toBe("61 s");
  expect(length(3 * 864e5)).toBe("3 d");
  expect(since(NOW - 120_000, NOW)).toBe("2 min ago");
  expect(since(NOW, NOW)).toBe("now");
  expect(since(NOW + 600_000, NOW)).toBe("in 10 min");
});
