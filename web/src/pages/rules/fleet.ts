// Rules of the whole fleet: which ruleset each host runs, and on how many hosts a rule was hit.

import { ask, lines, type Row, type Stats } from "../../lib/api.ts";

/** The ruleset of a host's namespace; without a time, where it became active too long ago to be among what was read. */
export interface Active {
  host: string;
  netns: string;
  generation?: string;
  time?: string;
  process?: string;
}

/** Rows of `rulesets` that are read to find each host's newest. */
const ROWS = 20_000;

/** The newest ruleset of every host. */
export async function rulesets(signal: AbortSignal): Promise<{ active: Active[]; all: boolean }> {
  const all = ask<{ rows: Row[] }>("top", { table: "rulesets", filter: "", by: ["host", "netns"], limit: 10_000 }, signal);
  const newest = new Map<string, Active>();
  const columns = ["time", "host", "netns", "generation", "process"];
  await lines(
    "search",
    { table: "rulesets", filter: "", limit: ROWS, columns },
    (rows) => {
      for (const row of rows) {
        const one: Active = {
          host: String(row["host"]),
          netns: String(row["netns"] ?? ""),
          generation: String(row["generation"]),
          time: String(row["time"]),
          ...(row["process"] && { process: String(row["process"]) }),
        };
        const key = `${one.host}\n${one.netns}`;
        if (!newest.has(key)) newest.set(key, one);
      }
    },
    signal,
  );
  const known = newest.size;
  for (const row of (await all).rows) {
    const one = { host: String(row["host"]), netns: String(row["netns"] ?? "") };
    const key = `${one.host}\n${one.netns}`;
    if (!newest.has(key)) newest.set(key, one);
  }
  const active = [...newest.values()].sort((a, b) => a.host.localeCompare(b.host) || a.netns.localeCompare(b.netns));
  return { active, all: known === active.length };
}

/** A rule, and what it logged on which hosts. */
export interface Shared {
  /** Absent of events of which nobody can tell the rule. */
  rule: string | undefined;
  events: number;
  hosts: { host: string; events: number }[];
}

/** The rules of groups `{rule, host, rows}`: those of most events first, and of each its hosts likewise. */
export function shared(rows: readonly Row[]): Shared[] {
  const by = new Map<string | undefined, Shared>();
  for (const row of rows) {
    const rule = row["rule"] === undefined || row["rule"] === null ? undefined : String(row["rule"]);
    const events = Number(row["rows"]);
    const one = by.get(rule) ?? { rule, events: 0, hosts: [] };
    one.events += events;
    one.hosts.push({ host: String(row["host"]), events });
    by.set(rule, one);
  }
  for (const one of by.values()) one.hosts.sort((a, b) => b.events - a.events || a.host.localeCompare(b.host));
  return [...by.values()].sort((a, b) => b.events - a.events);
}

/** Groups of one answer; where there are as many, there may be more. */
export const GROUPS = 10_000;

/** Which rules were hit in a time, on which hosts. */
export async function across(window: { since: string; until: string }, signal: AbortSignal): Promise<{ rules: Shared[]; cut: boolean; stats: Stats }> {
  const answer = await ask<{ rows: Row[]; stats: Stats }>("top", { filter: "", by: ["rule", "host"], limit: GROUPS, ...window }, signal);
  return { rules: shared(answer.rows), cut: answer.rows.length >= GROUPS, stats: answer.stats };
}
