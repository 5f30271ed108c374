// What a time has beside what another had: values with their counts in both.

import { ask, type Stats } from "../../lib/api.ts";
import { term } from "../../lib/filter.ts";
import { iso, type Span } from "../../lib/time.ts";

/** Most groups that the server compares. */
export const MOST = 1000;

export interface Change {
  value: string | number | null;
  now: number;
  before: number;
}

export interface Changes {
  values: Change[];
  /** Whether these are all values of the time, not only those of most events. */
  all: boolean;
  complete: boolean;
}

interface Answer {
  columns: string[];
  rows: Record<string, string | number>[];
  stats: Stats;
}

/** Values of a field, those of most events first. */
export async function changes(
  field: string,
  filter: string,
  now: Span,
  before: Span,
  limit: number,
  signal: AbortSignal,
): Promise<Changes> {
  const answer = await ask<Answer>(
    "compare",
    {
      filter,
      by: [field],
      since: iso(now.since),
      until: iso(now.until),
      before_since: iso(before.since),
      before_until: iso(before.until),
      limit,
    },
    signal,
  );
  const name = answer.columns[0]!;
  return {
    values: answer.rows.map((row) => ({
      value: row[name] ?? null,
      now: Number(row["rows"]),
      before: Number(row["before_rows"]),
    })),
    all: answer.rows.length < limit,
    complete: answer.stats.complete,
  };
}

/** The time of the same length just before. */
export const before = (span: Span): Span => ({ since: 2 * span.since - span.until, until: span.since });

/** How much more or less, in a word or two; nothing where there is nothing to compare with. */
export function difference(now: number, then: number): string {
  if (now === then) return "same";
  if (then === 0) return "new";
  if (now === 0) return "none now";
  const times = now / then;
  if (times >= 10) return `×${Math.round(times)}`;
  if (times >= 2) return `×${times.toFixed(1)}`;
  const share = Math.abs(100 * (times - 1));
  return `${times > 1 ? "+" : "−"}${share < 1 ? share.toFixed(1) : Math.round(share)} %`;
}

/** One term that means several values of a field; nothing, where that would be too long for an address. */
export function anyOf(field: string, values: readonly (string | number | null)[]): string | undefined {
  if (values.length === 0 || values.includes(null)) return undefined;
  const text = `${field}:${values.map((value) => term(field, value).slice(field.length + 1)).join(",")}`;
  return text.length <= 4000 ? text : undefined;
}
