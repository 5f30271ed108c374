// What is asked of one host.

import { ask, lines, type Row, type Stats } from "../../lib/api.ts";
import { Asked } from "../../lib/asked.svelte.ts";
import { bars, gaps, type Bars, type Gap } from "../../lib/bars.ts";
import { term } from "../../lib/filter.ts";
import { settled } from "../../lib/live.ts";
import { bar, iso, type Span } from "../../lib/time.ts";
import type { Host } from "./hosts.ts";
import { gapMarks, listings, lossMarks, ruleMarks, type Mark } from "./timeline.ts";

interface Answer {
  rows: Row[];
  stats: Stats;
}
interface Entry {
  stage: string;
  reason: string;
  kind: string;
  count: number;
  rows: number;
  last: string;
}
/** What somebody delivered in the name of a host without an agent. */
export interface Sender {
  host: string;
  sender: string;
  source: string;
  messages: number;
  rows: number;
  unparsed: number;
  other: number;
  cut: number;
  over: number;
  first_seen: string;
  last_seen: string;
}
/** Most entries of the ledger that are listed. */
export const LOSSES = 2000;

/** Events of the last day, and of which day exactly. */
export interface Day extends Span {
  events: number;
}

export interface Story {
  span: Span;
  bars: Bars;
  gaps: Gap[];
  marks: Mark[];
  complete: boolean;
}
export interface Losses {
  span: Span;
  entries: Entry[];
  count: number;
  rows: Row[];
  complete: boolean;
}

export class HostData {
  readonly #name: string;
  readonly host = new Asked<{ host: Host | undefined; senders: Sender[]; day: Day }>();
  readonly story = new Asked<Story>();
  readonly losses = new Asked<Losses>();

  constructor(name: string) {
    this.#name = name;
  }

  askHost(): void {
    void this.host.run(async (signal) => {
      const host = (await ask<Host[]>("hosts", undefined, signal)).find((host) => host.name === this.#name);
      const senders = host && host.reports !== "agent" ? await ask<Sender[]>("senders", undefined, signal) : [];
      const until = settled();
      const since = until - 864e5;
      const counted = { filter: term("host", this.#name), since: iso(since), until: iso(until) };
      const { rows } = await ask<{ rows: number }>("count", counted, signal);
      return { host, day: { events: rows, since, until }, senders: senders.filter((sender) => sender.host === this.#name) };
    });
  }

  askStory(span: Span): void {
    const filter = term("host", this.#name);
    const times = { since: iso(span.since), until: iso(span.until) };
    void this.losses.run(async (signal) => {
      const ledger = await ask<{ entries: Entry[]; count: number; stats: Stats }>("ledger", { host: this.#name, ...times }, signal);
      const rows: Row[] = [];
      if (ledger.count > 0) await lines("losses", { host: this.#name, limit: LOSSES, ...times }, (some) => rows.push(...some), signal);
      return { span, entries: ledger.entries, count: ledger.count, rows, complete: ledger.stats.complete };
    });
    void this.story.run(async (signal) => {
      const seconds = bar(span, 160);
      const pieces = Math.max(180, seconds);
      const over = (more: object) => ask<Answer>("histogram", { filter, ...times, limit: 100_000, ...more }, signal);
      const rules: Row[] = [];
      const columns = ["time", "netns", "generation", "kernel_generation", "process", "pid"];
      const [events, heard] = await Promise.all([
        over({ by: ["action"], bucket_seconds: seconds }),
        over({ table: "counters", by: ["host"], bucket_seconds: pieces }),
        // the listing before the time says what the first one in it changed
        lines("search", { table: "rulesets", filter, columns, limit: 5000, until: times.until }, (some) => rules.push(...some), signal),
      ]);
      const silent = gaps(heard.rows, span.since, span.until, pieces);
      return {
        span,
        bars: bars(events.rows, span.since, span.until, seconds),
        gaps: silent,
        marks: [...ruleMarks(listings(rules), span), ...gapMarks(silent)],
        complete: events.stats.complete,
      };
    });
  }

  /** Everything that happened, the latest first. */
  get marks(): Mark[] {
    const all = [...(this.story.value?.marks ?? []), ...lossMarks(this.losses.value?.rows ?? [])];
    return all.sort((a, b) => b.since - a.since);
  }

  stop(): void {
    for (const asked of [this.host, this.story, this.losses]) asked.cancel();
  }
}
