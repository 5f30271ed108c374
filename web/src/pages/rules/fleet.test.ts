import { expect, test } from "vitest";
import { shared } from "./fleet.ts";

test("a rule is one, on however many hosts", () => {
  const rows = [
    { rule: "a", host: "web", rows: 5, packets: 5 },
    { rule: "b", host: "web", rows: 9, packets: 9 },
    { rule: "a", host: "db", rows: 7, packets: 7 },
    { host: "db", rows: 1, packets: 1 },
  ];
  expect(shared(rows)).toEqual([
    { rule: "a", events: 12, hosts: [{ host: "db", events: 7 }, { host: "web", events: 5 }] },
    { rule: "b", events: 9, hosts: [{ host: "web", events: 9 }] },
    { rule: undefined, events: 1, hosts: [{ host: "db", events: 1 }] },
  ]);
  expect(shared([])).toEqual([]);
});
