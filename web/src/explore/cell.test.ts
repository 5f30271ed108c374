import { expect, test } from "vitest";
import { deeds, same } from "./cell.ts";


test("a value becomes a term, and its absence as well", () => {
  const row = { src: "203.0.113.9", prefix: "in-drop: ", dport: 22, src_country: "NL", src_asn: 64500 };
  expect(same(row, "prefix")).toBe('prefix:"in-drop: "');
  expect(same(row, "sport")).toBe("-sport:*");
  expect(same(row, "time")).toBeUndefined();
  const offered = deeds(row, "src").map((deed) => `${deed.how} ${deed.text}`);
  expect(offered).toEqual([
    "replace src:203.0.113.9",
    "include src:*",
    "include ip:203.0.113.9",
    "include src:203.0.113.0/24",
    "exclude src:203.0.113.0/24",
    "include src.asn:AS64500",
    "exclude src.asn:AS64500",
    "include src.country:NL",
    "exclude src.country:NL",
    "set 203.0.113.9",
    "copy 203.0.113.9",
  ]);
  expect(deeds(row, "time")).toEqual([]);
});
