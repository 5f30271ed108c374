import { expect, test } from "vitest";
import { KINDS, space, terms } from "./kinds.ts";

const kind = (name: string) => KINDS.find((k) => k.kind === name)!;

test("a counter is named by terms", () => {
  const rule = { host: "web", table: "inet filter", chain: "input", rule: 'log prefix "x" drop', packets: 3 };
  expect(terms(rule, kind("rule"))).toEqual(["host:web", 'table:"inet filter"', "chain:input", 'rule:"log prefix \\"x\\" drop"']);
  expect(terms({ ...rule, netns: "blue" }, kind("policy"))).toEqual(["host:web", "netns:blue", 'table:"inet filter"', "chain:input"]);
  expect(terms({ host: "gw", name: "http" }, kind("nfacct"))).toEqual(["host:gw", "name:http"]);
});

test("the host's own namespace may be left out of rows", () => {
  expect(space(undefined)).toBe('(netns:"" OR -netns:*)');
  expect(space("")).toBe('(netns:"" OR -netns:*)');
  expect(space("blue")).toBe("netns:blue");
});
