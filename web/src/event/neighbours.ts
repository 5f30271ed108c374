// What the same host logged just before and just after an event.

import { lines, type Row } from "../lib/api.ts";
import { term } from "../lib/filter.ts";

const COLUMNS = ["id", "time", "action", "src", "dst", "dport", "proto", "rule"];
/** How far to look; a host that is quieter than that has no neighbours worth a look. */
const REACH = 10 * 60_000;

/** Up to `each` rows before and after, oldest first, without the event itself. */
export async function neighbours(row: Row, at: number, each: number, signal: AbortSignal): Promise<{ before: Row[]; after: Row[] }> {
  const filter = term("host", String(row["host"]));
  const time = String(row["time"]);
  const before: Row[] = [];
  const earlier = lines(
    "search",
    { filter, since: new Date(at - REACH).toISOString(), until: time, limit: each, columns: COLUMNS },
    (rows) => before.push(...rows),
    signal,
  );
  const [, after] = await Promise.all([earlier, later(filter, time, at, String(row["id"]), each, signal)]);
  return { before: before.reverse(), after };
}

/** The first rows from a moment on: an export comes oldest first, and is given up once there are enough. */
async function later(filter: string, time: string, at: number, id: string, each: number, outer: AbortSignal): Promise<Row[]> {
  const rows: Row[] = [];
  const enough = new AbortController();
  const body = { filter, since: time, until: new Date(at + REACH).toISOString(), columns: COLUMNS };
  const take = (some: Row[]) => {
    for (const row of some) if (row["id"] !== id && rows.length < each) rows.push(row);
    if (rows.length >= each) enough.abort();
  };
  try {
    await lines("export", body, take, AbortSignal.any([outer, enough.signal]));
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
  return rows;
}
