import { expect, test } from "vitest";
import { csvCell, csvLine } from "./export.ts";

test("cells are quoted, and formulas are texts", () => {
  expect(csvCell('a "b", c')).toBe('"a ""b"", c"');
  expect(csvCell("=1+1")).toBe("'=1+1");
  expect(csvCell("@SUM(A1)\n")).toBe("\"'@SUM(A1)\n\"");
  expect(csvCell(-5)).toBe("-5");
  expect(csvLine({ a: 1, b: null, c: "x" }, ["a", "b", "c"])).toBe("1,,x\r\n");
});
