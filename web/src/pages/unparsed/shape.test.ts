import { expect, test } from "vitest";
import { ofShape } from "./shape.ts";

test("placeholders stand for values, and everything else for itself", () => {
  expect(ofShape("[<n>] IN=<if> SRC=<ip>")).toBe(
    'raw:~"\\[(0x[0-9A-Fa-f]+|[0-9]+)\\][ [:cntrl:]]+IN=[^ ]+[ [:cntrl:]]+SRC=[0-9A-Fa-f:.]+[ [:cntrl:]]*$"',
  );
});

test("a quote does not end the text", () => {
  expect(ofShape('say "x"')).toBe('raw:~"say[ [:cntrl:]]+\\"x\\"[ [:cntrl:]]*$"');
});

test("a shape that may have been cut is the beginning of a line", () => {
  expect(ofShape("x".repeat(400)).endsWith('x"')).toBe(true);
});
