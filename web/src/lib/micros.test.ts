import { expect, test } from "vitest";
import { micros } from "./micros.ts";

test("microseconds are kept", () => {
  expect(micros("1970-01-01T00:00:01.000002Z")).toBe(1_000_002);
  expect(micros("2026-11-23T05:00:43.684529Z")).toBe(1_795_410_043_684_529);
  expect(micros("2026-11-23T05:00:43.5Z")).toBe(1_795_410_043_500_000);
  expect(micros("2026-11-23T05:00:43Z")).toBe(1_795_410_043_000_000);
});
