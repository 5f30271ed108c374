// Who talks to whom: sums of flows by whatever they have in common.

import { ask, type Row, type Stats } from "../../lib/api.ts";
import { fieldOf, FIELDS, including, term } from "../../lib/filter.ts";
import { route } from "../../lib/router.svelte.ts";

/** What a question is about. */
export interface About {
  filter: string;
  since: string;
  until: string;
}

/** Bytes both ways of a row of sums. */
export const both = (row: Row): number => Number(row["bytes"] ?? 0) + Number(row["reply_bytes"] ?? 0);

/** Groups of one answer. The server orders them by the bytes that were sent; here those both ways count. */
export const GROUPS = 1000;

export interface Top {
  rows: Row[];
  /** Whether there were more groups than an answer has. */
  cut: boolean;
  stats: Stats;
}

/** The groups of most bytes both ways. */
export async function top(by: readonly string[], about: About, signal: AbortSignal): Promise<Top> {
  const answer = await ask<{ rows: Row[]; stats: Stats }>("top", { table: "flows", by, limit: GROUPS, ...about }, signal);
  const rows = answer.rows.toSorted((a, b) => both(b) - both(a));
  return { rows, cut: rows.length >= GROUPS, stats: answer.stats };
}

/** The terms that a group is. */
export function terms(row: Row, by: readonly string[]): string[] {
  return by.map((column) => {
    const field = fieldOf(column) ?? column;
    const value = row[column];
    const asn = FIELDS.find((f) => f.name === field)?.kind === "asn" && value !== undefined;
    return term(field, asn ? `AS${value}` : (value as string | number | undefined));
  });
}

/** The address of this page with terms more. */
export function withTerms(terms: readonly string[]): string {
  const query = new URLSearchParams(route.query);
  query.set("q", terms.reduce(including, query.get("q") ?? ""));
  return `${route.path}?${query}`;
}
