import { expect, test } from "vitest";
import { bytes, cell, compact, count, percent, visible } from "./format.ts";

test("numbers", () => {
  expect(count(1204332)).toBe("1,204,332");
  expect(compact(9999)).toBe("9,999");
  expect(compact(1204332)).toBe("1.2M");
  expect(bytes(512)).toBe("512 B");
  expect(bytes(1536)).toBe("1.5 KiB");
  expect(percent(1, 3)).toBe("33.3 %");
  expect(percent(3, 3)).toBe("100 %");
});

test("what cannot be seen is written out", () => {
  expect(visible("a\u001b[31mb")).toBe("a\\u{1b}[31mb");
  expect(visible("x\u202egnp.exe")).toBe("x\\u{202e}gnp.exe");
  expect(visible("\u{e0041}")).toBe("\\u{e0041}");
  expect(visible("\ud800")).toBe("\\u{d800}");
  expect(visible("naïve 🦀 in-drop: ")).toBe("naïve 🦀 in-drop: ");
  expect(cell("x".repeat(600)).length).toBe(513);
  expect(cell(null)).toBe("");
  expect(cell(0)).toBe("0");
});
