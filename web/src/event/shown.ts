// What the server says of one event, and where its parts link to.

import type { Row, Stats } from "../lib/api.ts";
import { fieldOf, including, term } from "../lib/filter.ts";
import { explore, route } from "../lib/router.svelte.ts";
import { iso } from "../lib/time.ts";

/** A ruleset became active: when, and who made it so. */
export interface Change {
  time: string;
  host: string;
  netns: string;
  generation: string;
  kernel_generation?: number;
  pid?: number;
  process?: string;
}

/** A rule, and where it stands if that is known. */
export interface Rule {
  table?: string | null;
  chain?: string | null;
  handle?: number | null;
  position?: number;
  text: string;
  comment?: string;
}

export interface Shown {
  event: Row;
  rule?: Rule & { ruleset?: Change };
  candidates?: unknown[];
  in_flight?: unknown[];
  now: { state: "same" | "moved" | "changed" | "deleted" | "unknown"; ruleset?: Change; rule?: Rule };
  context?: { since: string; until: string; packets: number; rows: number; hosts: Row[]; dports: Row[]; flows: Row[] };
  stats: Stats;
}

/** When it was, in milliseconds. */
export const at = (row: Row): number => Date.parse(String(row["time"]).replace(/(\.\d{3})\d+/, "$1"));

const HOUR = 36e5;

/** The explorer with a term: added to its filter where it is open, else in the hours around the event. */
export function withTerm(row: Row, term: string): string {
  if (route.path === "/explore") {
    const query = new URLSearchParams(route.query);
    query.set("q", including(query.get("q") ?? "", term));
    return `/explore?${query}`;
  }
  return around(row, term);
}

/** The explorer in the hours around an event. */
export const around = (row: Row, q: string): string =>
  explore({ q, from: iso(at(row) - HOUR), to: iso(at(row) + HOUR) });

/** The term of a column's value; nothing, where no filter can say it. */
export function termOf(row: Row, column: string): string | undefined {
  const field = fieldOf(column);
  const value = row[column];
  if (field === undefined || value === undefined || value === null || typeof value === "boolean") return undefined;
  return term(field, field === "src.asn" || field === "dst.asn" ? `AS${value}` : value);
}

const LIKE = ["host", "action", "src", "dst", "proto", "dport", "icmp_type", "rule"];

/** A filter for events like this one. */
export function filterOf(row: Row): string {
  return LIKE.map((column) => termOf(row, column)).filter((t) => t !== undefined).join(" ");
}

/** The address of an event: in the explorer its place beside the rows, else a page of its own. */
export function eventAddress(id: string): string {
  if (route.path !== "/explore") return `/event/${id.split("/").map(encodeURIComponent).join("/")}`;
  const query = new URLSearchParams(route.query);
  query.set("ev", id);
  return `/explore?${query}`;
}

/** The address of a ruleset, at a generation and a rule if they are known. */
export function rulesetAddress(host: string, netns?: string, generation?: string, rule?: Rule): string {
  const query = new URLSearchParams();
  if (netns) query.set("netns", netns);
  if (generation) query.set("generation", generation);
  if (rule) {
    query.set("rule", rule.text);
    if (rule.chain) query.set("chain", `${rule.table ?? ""} ${rule.chain}`.trim());
  }
  const text = query.toString();
  return `/rules/${encodeURIComponent(host)}${text ? `?${text}` : ""}`;
}
