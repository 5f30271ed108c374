import { expect, test } from "vitest";
import { wrong } from "./passwords.ts";

test("a password has twelve characters, whatever they are, twice the same", () => {
  expect(wrong("elevenchars", "elevenchars")).toBe("It has 11 characters, and must have 12 or more.");
  expect(wrong("zwölf zwölf1", "zwölf zwölf1")).toBeUndefined();
  expect(wrong("👩👩👩👩👩👩", "👩👩👩👩👩👩")).toContain("6 characters");
  expect(wrong("a long sentence", "a long sentenc")).toBe("The two are not the same.");
});
