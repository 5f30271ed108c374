// Questions with names, as the server keeps them.

import { ask } from "./api.ts";

export interface View {
  name: string;
  table: string;
  filter: string;
  columns: string[];
  since: string | null;
  shared: boolean;
  changed: string;
}

export const views = (signal?: AbortSignal): Promise<View[]> => ask<View[]>("views", undefined, signal);

/** What the explorer is to hold for a view. A length of time is kept as a person writes it, `1h`, and means "up to now". */
export function held(view: View): { q: string; from?: string; cols?: string[]; view: string } {
  return {
    q: view.filter,
    ...(view.since && { from: `-${view.since.replace(/^-/, "")}` }),
    ...(view.columns.length > 0 && { cols: view.columns }),
    view: view.name,
  };
}

/** The address of a view in the explorer. */
export function viewAddress(view: View): string {
  const { q, from, cols } = held(view);
  const query = new URLSearchParams({ q });
  if (from) query.set("from", from);
  if (cols) query.set("cols", cols.join(","));
  query.set("view", view.name);
  return `/explore?${query}`;
}
