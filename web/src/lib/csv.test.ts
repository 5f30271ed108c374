import { expect, test } from "vitest";
import { csv } from "./csv.ts";

test("quotes, line ends and formulas are harmless", () => {
  const rows = [
    { name: 'a "b", c', n: -5 },
    { name: "=cmd()", n: null },
    { name: "two\nlines", n: 1 },
  ];
  expect(csv(["name", "n"], rows)).toBe('name,n\r\n"a ""b"", c",-5\r\n\'=cmd(),\r\n"two\nlines",1\r\n');
});
