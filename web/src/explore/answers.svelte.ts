// The answers to what the explorer asks: rows first, then how many over time, then facets. Each is given up for the next.

import { ask, lines, type End, type Row, type Stats } from "../lib/api.ts";
import { Asked } from "../lib/asked.svelte.ts";
import { bars, gaps, type Bars, type Gap } from "../lib/bars.ts";
import { bar, iso, type Span } from "../lib/time.ts";

/** Rows of a page, and most rows that are kept: who wants more wants an export. */
const PAGE = 500;
const MOST = 20_000;

export interface Facet {
  field: string;
  values: { value?: string | number; packets: number; rows: number }[];
  other: { rows: number; packets: number };
  distinct?: number;
}

interface Counted {
  rows: Record<string, unknown>[];
  stats: Stats;
}

export interface Drawn {
  bars: Bars;
  gaps: Gap[];
  before: number[] | undefined;
  /** Events of the time before, if that was asked. */
  beforeTotal: number | undefined;
  stats: Stats;
}

export class Answers {
  /** Rows that are here, newest first. Grows while they come; `drawn` is called then. */
  rows: Row[] = [];
  readonly page = new Asked<End>();
  readonly chart = new Asked<Drawn>();
  readonly facets = new Asked<{ facets: Facet[]; rows: number; stats: Stats }>();
  /** What is asked about, so that later pages and clicks mean the same time. */
  span = $state.raw<Span>({ since: 0, until: 0 });
  here = $state(0);
  #filter = "";
  readonly #drawn: () => void;

  constructor(drawn: () => void) {
    this.#drawn = drawn;
  }

  /** Asks for rows, the newest first. */
  async search(filter: string, span: Span): Promise<void> {
    this.#filter = filter;
    this.span = span;
    let fresh = true;
    await this.page.run((signal) =>
      lines("search", { filter, ...times(span), limit: PAGE }, (rows) => this.#take(rows, fresh, () => (fresh = false)), signal),
    );
    if (fresh && !this.page.busy && !this.page.error) this.#take([], true, () => {});
  }

  /** The next page, behind the last row. */
  async more(): Promise<void> {
    const end = this.page.value;
    if (this.page.busy || !end?.more || !end.cursor || this.rows.length >= MOST) return;
    const body = { filter: this.#filter, ...times(this.span), limit: PAGE, after: end.cursor };
    await this.page.run((signal) => lines("search", body, (rows) => this.#take(rows, false, () => {}), signal));
  }

  #take(rows: Row[], fresh: boolean, done: () => void): void {
    this.rows = fresh ? rows : this.rows.concat(rows);
    this.here = this.rows.length;
    done();
    this.#drawn();
  }

  /** How many over time, with the time before if that is wanted, and where hosts were silent. */
  async draw(filter: string, span: Span, compare: boolean): Promise<void> {
    const seconds = bar(span);
    const width = span.until - span.since;
    const over = (span: Span, signal: AbortSignal, more: object) =>
      ask<Counted>("histogram", { filter, ...times(span), bucket_seconds: seconds, ...more }, signal);
    await this.chart.run(async (signal) => {
      const earlier = { since: span.since - width, until: span.since };
      // agents report their counters every minute, which is how it is known that they were there
      const heard = Math.max(seconds, 120);
      const [now, before, reports] = await Promise.all([
        over(span, signal, { by: ["action"] }),
        compare ? over(earlier, signal, {}) : undefined,
        heard <= 3600
          ? over(span, signal, { table: "counters", filter: "", by: ["host"], bucket_seconds: heard }).catch(() => undefined)
          : undefined,
      ]);
      const drawn = bars(now.rows, span.since, span.until, seconds);
      const shifted = before && shift(before.rows, width, span, seconds);
      return {
        bars: drawn,
        gaps: reports ? gaps(reports.rows, span.since, span.until, heard) : [],
        before: shifted,
        beforeTotal: before?.rows.reduce((sum, row) => sum + Number(row["rows"]), 0),
        stats: now.stats,
      };
    });
  }

  async facet(filter: string, span: Span, fields: readonly string[]): Promise<void> {
    if (fields.length === 0) return;
    await this.facets.run((signal) => ask("facets", { filter, ...times(span), fields, limit: 8 }, signal));
  }

  cancel(): void {
    this.page.cancel();
    this.chart.cancel();
    this.facets.cancel();
  }
}

/** A span as questions have it. */
export function times(span: Span): { since: string; until: string } {
  return { since: iso(span.since), until: iso(span.until) };
}

function shift(rows: readonly Record<string, unknown>[], by: number, span: Span, seconds: number): number[] {
  const moved = rows.map((row) => ({ ...row, time: iso(Date.parse(String(row["time"])) + by) }));
  return bars(moved, span.since, span.until, seconds).parts.other;
}
