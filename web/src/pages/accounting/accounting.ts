// Counters: how much each grew in a time, and beside those of rules what was logged.

import { ask, lines, type Row, type Stats } from "../../lib/api.ts";
import { bar, type Span } from "../../lib/time.ts";
import { steps, values, type Steps } from "../../lib/series.ts";
import { reconciled, type Reconciled } from "../rules/coverage.ts";
import type { Kind } from "./kinds.ts";

/** What a question is about. */
export interface About {
  filter: string;
  since: string;
  until: string;
}

export const GROUPS = 500;
/** Hosts whose counters are held against what was logged, at once. */
export const HOSTS = 8;

export interface Counters {
  rows: Row[];
  cut: boolean;
  stats: Stats;
}

const ofKind = (filter: string, kind: string) => `${filter ? `(${filter}) ` : ""}kind:${kind}`;

/** The counters of a kind that grew most. */
export async function counters(kind: Kind, about: About, signal: AbortSignal): Promise<Counters> {
  const question = { table: "counters", by: kind.by, limit: GROUPS, ...about, filter: ofKind(about.filter, kind.kind) };
  const answer = await ask<{ rows: Row[]; stats: Stats }>("top", question, signal);
  return { rows: answer.rows, cut: answer.rows.length >= GROUPS, stats: answer.stats };
}

/** Of each host and namespace among some rows, what its rules counted and logged between two readings. */
export async function covered(rows: readonly Row[], about: About, signal: AbortSignal): Promise<Map<string, Reconciled>> {
  const places = new Map<string, { host: string; netns: string }>();
  for (const row of rows) {
    const place = { host: String(row["host"]), netns: String(row["netns"] ?? "") };
    if (places.size < HOSTS) places.set(`${place.host}\n${place.netns}`, place);
  }
  const out = new Map<string, Reconciled>();
  await Promise.all(
    [...places].map(async ([key, place]) => {
      const found = await reconciled({ ...place, since: about.since, until: about.until }, signal).catch((error) => {
        // one host whose rules are not known does not hide the others
        if (signal.aborted) throw error;
        return undefined;
      });
      if (found) out.set(key, found);
    }),
  );
  return out;
}

export interface Over {
  steps: Steps;
  packets: number[];
  bytes: number[];
  /** Packets of events, where one rule is looked at. */
  logged: number[] | undefined;
  /** Until when counters were read. */
  until: number;
}

/** Readings are a minute apart, and up to so many milliseconds more. */
const SLACK = 50;

/** Counters over time. The bars end where counters are read, so that what was logged stands in the bar in which it was counted. */
export async function over(kind: string, about: About, span: Span, one: boolean, signal: AbortSignal): Promise<Over> {
  const filter = ofKind(about.filter, kind);
  const newest: Row[] = [];
  const times = { since: about.since, until: about.until };
  await lines("search", { table: "counters", filter, ...times, limit: 1, columns: ["time"] }, (rows) => newest.push(...rows), signal);
  const last = newest[0] ? Date.parse(String(newest[0]["time"])) : span.until;
  const origin = last + SLACK;
  const seconds = Math.max(60, bar(span, 180));
  const question = { ...times, bucket_seconds: seconds, origin: origin * 1000 };
  const [counted, logged] = await Promise.all([
    ask<{ rows: Row[] }>("histogram", { table: "counters", filter, ...question }, signal),
    one ? ask<{ rows: Row[] }>("histogram", { filter: about.filter, ...question }, signal) : undefined,
  ]);
  const all = steps(span.since, span.until, seconds, origin % (seconds * 1000));
  return {
    steps: all,
    packets: values(counted.rows, all, "packets"),
    bytes: values(counted.rows, all, "bytes"),
    // what was logged since the last reading has not been counted yet
    logged: logged && values(logged.rows, all, "packets").slice(0, Math.max(0, Math.round((origin - all.start) / all.step))),
    until: origin,
  };
}
