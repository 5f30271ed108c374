// What a rule counted beside what it logged, over a time for which both are known. Counters are read about once a
// minute; events come at once. So the time is that between two readings of the host, not the one that was asked for.

import { ask, lines, type Row, type Stats } from "../../lib/api.ts";
import { term } from "../../lib/filter.ts";
import { first } from "../../lib/first.ts";
import { micros } from "../../lib/micros.ts";
import type { Change } from "../../event/shown.ts";
import { space } from "../accounting/kinds.ts";
import type { Hit } from "./listing.ts";

/** The answer of `rules/hits`. */
export interface Hits {
  ruleset: Change;
  rules: Hit[];
  gone: Hit[];
  unattributed: number;
  stats: Stats;
}

/** Whose rules, and of which time. */
export interface Asked {
  host: string;
  netns: string;
  since: string;
  until: string | undefined;
}

/** A time between two readings, in microseconds, and what the rules counted and logged in it. */
export interface Reconciled {
  since: number;
  until: number;
  of: (rule: Hit) => Hit | undefined;
  rules: Hit[];
}

const key = (rule: Hit) => [rule.table, rule.chain, rule.position, rule.rule].join("\n");

/** Between the first and the last reading of a time; nothing, where there are no two. */
export async function reconciled(asked: Asked, signal: AbortSignal): Promise<Reconciled | undefined> {
  const question = {
    table: "counters",
    filter: `${term("host", asked.host)} ${space(asked.netns)} kind:rule`,
    since: asked.since,
    until: asked.until,
  };
  const newest: Row[] = [];
  const [oldest] = await Promise.all([
    first({ ...question, columns: ["time", "from"] }, 1, signal),
    lines("search", { ...question, limit: 1, columns: ["time"] }, (rows) => newest.push(...rows), signal),
  ]);
  const [from, to] = [oldest[0], newest[0]];
  if (!from || !to) return undefined;
  // the first reading of all tells what was counted since nobody knows when: only what comes behind it counts
  const begin = micros(String(from["from"] ?? from["time"])) + 1;
  const until = micros(String(to["time"])) + 1;
  if (begin >= until) return undefined;
  const { host, netns } = asked;
  const between = (since: number) => ask<Hits>("rules/hits", { host, netns, since, until }, signal);
  const all = await between(begin);
  // rules that were loaded anew count from 0, and what they had counted since the reading before is gone
  const loaded = all.ruleset.time;
  if (micros(loaded) <= begin) return told(begin, until, all.rules);
  const [next] = await first({ ...question, since: loaded, columns: ["time"] }, 1, signal);
  const since = next ? micros(String(next["time"])) + 1 : until;
  if (since >= until) return undefined;
  return told(since, until, (await between(since)).rules);
}

function told(since: number, until: number, rules: Hit[]): Reconciled {
  const by = new Map(rules.map((rule) => [key(rule), rule]));
  return { since, until, rules, of: (rule) => by.get(key(rule)) };
}

/** The share that was logged, as it is shown; nothing, where it cannot be told. */
export function share(rule: Hit | undefined): string | undefined {
  if (rule?.coverage === undefined) return undefined;
  // a packet on the edge of the time may be on one side alone
  return rule.coverage > 100 ? (rule.coverage < 102 ? "100 %" : undefined) : `${rule.coverage} %`;
}
