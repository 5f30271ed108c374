import { expect, test } from "vitest";
import { steps, ticks, values } from "./series.ts";

test("rows become bars", () => {
  const five = steps(1000, 5500, 1);
  expect(five).toEqual({ start: 1000, step: 1000, count: 5 });
  const at = (ms: number, n: number) => ({ time: new Date(ms).toISOString(), n });
  expect(values([at(1000, 2), at(3999, 3), at(3000, 1), at(0, 9), at(6000, 9)], five, "n")).toEqual([2, 0, 4, 0, 0]);
  expect(values([{ time: "nonsense" }, at(1000, 1)], five, "m")).toEqual([0, 0, 0, 0, 0]);
  expect(steps(1000, 3000, 1, 250)).toEqual({ start: 250, step: 1000, count: 3 });
  expect(steps(5, 5, 60).count).toBe(1);
});

test("ticks are round and end below the largest", () => {
  expect(ticks(10, 2)).toEqual([0, 5, 10]);
  expect(ticks(97, 2)).toEqual([0, 50]);
  expect(ticks(1234, 3)).toEqual([0, 500, 1000]);
  expect(ticks(0, 3)).toEqual([0]);
  expect(ticks(1, 2)).toEqual([0, 0.5, 1]);
  expect(ticks(3 * 1024 ** 2, 3, 1024)).toEqual([0, 1024 ** 2, 2 * 1024 ** 2, 3 * 1024 ** 2]);
  expect(ticks(900, 2, 1024)).toEqual([0, 500]);
});
