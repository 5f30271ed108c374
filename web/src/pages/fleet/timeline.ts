// What happened to a host, on one line of time: when nothing came, when its rules changed, what was lost.

import type { Row } from "../../lib/api.ts";
import type { Gap } from "../../lib/bars.ts";
import { count } from "../../lib/format.ts";
import { length, type Span } from "../../lib/time.ts";
import { at } from "./hosts.ts";

export const LANES = ["gap", "rules", "lost"] as const;
export type Lane = (typeof LANES)[number];

export interface Mark {
  lane: Lane;
  since: number;
  until: number;
  what: string;
  detail: string;
  /** What a mark of the rules leads to. */
  generation?: string;
  netns?: string;
  bad: boolean;
}

/** A ruleset as it became active. */
export interface Listed {
  time: number;
  netns: string;
  generation: string;
  kernel: number | undefined;
  process: string | undefined;
  pid: number | undefined;
}

/** Rows of the table `rulesets`, of which each listing has several, oldest first and each listing once. */
export function listings(rows: readonly Row[]): Listed[] {
  const seen = new Map<string, Listed>();
  for (const row of rows) {
    const time = at(String(row["time"]));
    if (time === undefined) continue;
    const listed: Listed = {
      time,
      netns: String(row["netns"] ?? ""),
      generation: String(row["generation"] ?? ""),
      kernel: row["kernel_generation"] as number | undefined,
      process: row["process"] as string | undefined,
      pid: row["pid"] as number | undefined,
    };
    const key = `${String(row["time"])} ${listed.netns} ${listed.generation}`;
    if (!seen.has(key)) seen.set(key, listed);
  }
  return [...seen.values()].sort((a, b) => a.time - b.time);
}

/** A generation is named by the hash of its content; that of nothing is worth a word. */
const short = (generation: string) => (generation.startsWith("e3b0c44298fc1c14") ? "no rules" : generation.slice(0, 8));

/** What each listing means beside the one before it: the rules changed, or the agent lists again what was there. */
export function ruleMarks(all: readonly Listed[], span: Span): Mark[] {
  const before = new Map<string, Listed>();
  const marks: Mark[] = [];
  for (const listed of all) {
    const last = before.get(listed.netns);
    before.set(listed.netns, listed);
    if (listed.time < span.since || listed.time >= span.until) continue;
    const where = listed.netns ? ` in the namespace ${listed.netns}` : "";
    const who = listed.process ? `by ${listed.process}${listed.pid === undefined ? "" : ` (process ${listed.pid})`}` : "nobody knows by whom";
    const mark = { lane: "rules" as const, since: listed.time, until: listed.time, bad: false, generation: listed.generation, netns: listed.netns };
    // the kernel counts changes from its start on: if it counts from the beginning again, it started again
    const anew = last?.kernel !== undefined && listed.kernel !== undefined && listed.kernel < last.kernel;
    if (!last) marks.push({ ...mark, what: "rules first seen", detail: `${short(listed.generation)}${where}` });
    else if (last.generation !== listed.generation) {
      const detail = `${short(last.generation)} → ${short(listed.generation)}${where}, ${who}${anew ? "; the host or namespace started anew" : ""}`;
      marks.push({ ...mark, what: "rules changed", detail });
    } else if (anew || !listed.process) {
      const detail = anew ? `the host or namespace started anew, with the same rules${where}` : `the same rules were listed again${where}`;
      marks.push({ ...mark, what: "restart", detail });
    } else marks.push({ ...mark, what: "rules loaded", detail: `the same content again${where}, ${who}` });
  }
  return marks;
}

/** Entries of the ledger; those of the same place and reason within a minute of each other are one mark. */
export function lossMarks(rows: readonly Row[]): Mark[] {
  const losses = rows
    .map((row) => ({
      since: at(String(row["from"])) ?? at(String(row["time"])) ?? 0,
      until: at(String(row["time"])) ?? 0,
      why: `${String(row["stage"])}: ${String(row["reason"])}`,
      of: String(row["kind"] ?? "events"),
      n: Number(row["count"]),
      detail: String(row["detail"] ?? ""),
    }))
    .sort((a, b) => a.until - b.until);
  const marks: (Mark & { why: string; n: number; of: string })[] = [];
  for (const loss of losses) {
    const last = marks.findLast((m) => m.why === loss.why && m.of === loss.of);
    if (last && loss.since - last.until < 60_000) {
      last.until = Math.max(last.until, loss.until);
      last.n += loss.n;
    } else {
      marks.push({ ...loss, lane: "lost", what: "lost", bad: true });
    }
  }
  return marks.map(({ why, n, of, detail, ...mark }) => ({ ...mark, detail: `${count(n)} ${of}, ${why}${detail ? ` (${detail})` : ""}` }));
}

export function gapMarks(gaps: readonly Gap[]): Mark[] {
  return gaps.map(({ since, until }) => ({
    lane: "gap",
    since,
    until,
    what: "no data",
    detail: `nothing came for about ${length(until - since)}; what was logged then may have come later, or is under “lost”`,
    bad: true,
  }));
}

/** Where a time stands in a span, in percent. */
export function place(mark: { since: number; until: number }, span: Span): { left: number; width: number } {
  const whole = span.until - span.since;
  const left = Math.max(0, (100 * (mark.since - span.since)) / whole);
  const right = Math.min(100, (100 * (mark.until - span.since)) / whole);
  return { left, width: Math.max(0, right - left) };
}
