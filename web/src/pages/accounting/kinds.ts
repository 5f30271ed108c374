// What counts: rules, named counters, accounting objects, elements of sets, policies of chains.

import { fieldOf, term } from "../../lib/filter.ts";
import type { Row } from "../../lib/api.ts";

export interface Kind {
  kind: string;
  name: string;
  /** What tells one counter from another. */
  by: string[];
  /** The columns that say what it is, beside its host. */
  shown: [string, string][];
}

export const KINDS: Kind[] = [
  { kind: "rule", name: "Rules", by: ["host", "netns", "table", "chain", "rule"], shown: [["chain", "chain"], ["rule", "rule"]] },
  { kind: "counter", name: "Named counters", by: ["host", "netns", "table", "name"], shown: [["table", "table"], ["name", "counter"]] },
  { kind: "nfacct", name: "Accounting objects", by: ["host", "netns", "name"], shown: [["name", "object"]] },
  { kind: "element", name: "Elements of sets", by: ["host", "netns", "table", "name", "element"], shown: [["table", "table"], ["name", "set"], ["element", "element"]] },
  { kind: "policy", name: "Policies", by: ["host", "netns", "table", "chain"], shown: [["table", "table"], ["chain", "chain"]] },
];

/** The term of a host's own namespace, which rows may leave out, or of another. */
export const space = (netns: unknown): string =>
  netns === undefined || netns === null || netns === "" ? `(netns:"" OR -netns:*)` : term("netns", String(netns));

/** The terms that one counter is. */
export function terms(row: Row, kind: Kind): string[] {
  return kind.by
    .filter((column) => column !== "netns" || row[column])
    .map((column) => term(fieldOf(column) ?? column, row[column] as string | undefined));
}

/** A key for a list. */
export const key = (row: Row, kind: Kind): string => kind.by.map((column) => row[column] ?? "").join("\n");
