// The oldest rows of a time, which a search (newest first) would have to read all others for.

import { lines, type Row } from "./api.ts";

/** What an export is asked. */
export interface Wanted {
  table?: string;
  filter: string;
  since?: string | undefined;
  until?: string | undefined;
  columns?: string[];
}

/** The first `most` rows that `wants`, oldest first: of an export, which is given up once there are enough. */
export async function first(
  question: Wanted,
  most: number,
  signal: AbortSignal,
  wants: (row: Row) => boolean = () => true,
): Promise<Row[]> {
  const rows: Row[] = [];
  const enough = new AbortController();
  const take = (some: Row[]) => {
    for (const row of some) if (rows.length < most && wants(row)) rows.push(row);
    if (rows.length >= most) enough.abort();
  };
  try {
    await lines("export", question, take, AbortSignal.any([signal, enough.signal]));
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
  return rows;
}
