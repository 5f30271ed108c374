// What the same host logged just before and just after an event.

import { lines, type Row } from "../lib/api.ts";
import { term } from "../lib/filter.ts";
import { first } from "../lib/first.ts";

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
  // the event itself is among the rows from its moment on
  const later = first(
    { filter, since: time, until: new Date(at + REACH).toISOString(), columns: COLUMNS },
    each,
    signal,
    (one) => one["id"] !== row["id"],
  );
  const [, after] = await Promise.all([earlier, later]);
  return { before: before.reverse(), after };
}
