// Every host with what several questions tell of it. What costs more is asked less often.

import { ask, lines as rowsOf, serverNow, type Row, type Stats } from "../../lib/api.ts";
import { Asked } from "../../lib/asked.svelte.ts";
import { settled } from "../../lib/live.ts";
import { iso, type Span } from "../../lib/time.ts";
import { lineOf, type Line } from "./table.ts";
import type { Host } from "./hosts.ts";

interface Answer {
  rows: Row[];
  stats: Stats;
}
export interface Group {
  name: string;
  hosts: string[];
}

/** Of how long events are counted for what comes in a second. */
const RATE = 300_000;
/** Most hosts of an answer. */
const MOST = 10_000;
/** More hosts than this have no line of their last day: it would be too long an answer. */
const DRAWN = 2000;
const HOUR = 36e5;

export class FleetState {
  readonly hosts = new Asked<Host[]>();
  readonly #rates = new Asked<{ since: number; of: Map<string, number> }>();
  readonly #day = new Asked<{ span: Span; of: Map<string, number> }>();
  readonly #hours = new Asked<Map<string, number[]>>();
  readonly #rules = new Asked<Map<string, string>>();
  #groups = $state.raw<Group[]>([]);
  #slow = 0;
  /** When it was last asked, by the server's clock. */
  now = $state(serverNow());

  readonly lines: Line[] = $derived.by(() => {
    const now = this.now;
    return (this.hosts.value ?? []).map((host) => {
      const line = lineOf(host, this.#groups, now);
      const rates = this.#rates.value?.of;
      const counted = rates && (rates.get(host.name) ?? (rates.size < MOST ? 0 : undefined));
      line.rate = counted === undefined ? host.rate : (counted * 1000) / RATE;
      // an answer has ten thousand hosts at most; of others the server says packets itself
      const day = this.#day.value;
      const events = day && (day.of.get(host.name) ?? (day.of.size < MOST ? 0 : undefined));
      line.day = events === undefined ? undefined : { events, ...day!.span };
      line.hours = this.#hours.value?.get(host.name);
      line.generation = host.generation ?? this.#rules.value?.get(host.name);
      return line;
    });
  });

  get groups(): Group[] {
    return this.#groups;
  }
  /** Of which time events were counted for what comes in a second. */
  get rated(): Span {
    const since = this.#rates.value?.since ?? this.now - RATE;
    return { since, until: since + RATE };
  }

  ask(): void {
    const now = settled();
    void this.hosts.run((signal) => ask<Host[]>("hosts", undefined, signal)).then(() => (this.now = serverNow()));
    void this.#rates.run(async (signal) => {
      const body = { filter: "", by: ["host"], since: iso(now - RATE), until: iso(now), limit: MOST };
      return { since: now - RATE, of: byHost((await ask<Answer>("top", body, signal)).rows) };
    });
    void this.#day.run(async (signal) => {
      const span = { since: now - 864e5, until: now };
      const body = { filter: "", by: ["host"], since: iso(span.since), until: iso(now), limit: MOST };
      return { span, of: byHost((await ask<Answer>("top", body, signal)).rows) };
    });
    if (now - this.#slow < 60_000) return;
    this.#slow = now;
    void ask<Group[]>("groups").then((groups) => (this.#groups = groups), () => {});
    void this.#rules.run(rulesOf);
    void this.hosts.run((signal) => ask<Host[]>("hosts", undefined, signal)).then((hosts) => {
      this.now = serverNow();
      if (hosts && hosts.length <= DRAWN) void this.#hours.run((signal) => lastDay(now, signal));
    });
  }

  stop(): void {
    for (const asked of [this.hosts, this.#rates, this.#day, this.#hours, this.#rules]) asked.cancel();
  }
}

const byHost = (rows: Row[]) => new Map(rows.map((row) => [String(row["host"]), Number(row["rows"])]));

async function lastDay(now: number, signal: AbortSignal): Promise<Map<string, number[]>> {
  const end = Math.ceil(now / HOUR) * HOUR;
  const begin = end - 24 * HOUR;
  const body = { filter: "", by: ["host"], bucket_seconds: 3600, since: iso(begin), until: iso(end), limit: 100_000 };
  const days = new Map<string, number[]>();
  for (const row of (await ask<Answer>("histogram", body, signal)).rows) {
    const name = String(row["host"]);
    if (!days.has(name)) days.set(name, new Array<number>(24).fill(0));
    const at = Math.floor((Date.parse(String(row["time"])) - begin) / HOUR);
    if (at >= 0 && at < 24) days.get(name)![at]! += Number(row["rows"]);
  }
  return days;
}

/** The ruleset of each host that was listed last, of its own namespace. */
async function rulesOf(signal: AbortSignal): Promise<Map<string, string>> {
  const latest = new Map<string, string>();
  const body = { table: "rulesets", filter: "-netns:?*", columns: ["host", "generation"], limit: 50_000 };
  await rowsOf("search", body, (rows) => {
    for (const row of rows) {
      const host = String(row["host"]);
      if (!latest.has(host) && row["generation"]) latest.set(host, String(row["generation"]));
    }
  }, signal);
  return latest;
}
