// What a histogram shows: rows over time, stacked by action.

/** Actions from the bottom of a bar to its top. */
export const STACK = ["drop", "reject", "accept", "other"] as const;
export type Stacked = (typeof STACK)[number];

/** Bars of one length, each with its parts. */
export interface Bars {
  /** When the first begins, and how long each is, in milliseconds. */
  start: number;
  step: number;
  /** For each action as many numbers as there are bars. */
  parts: Record<Stacked, number[]>;
  total: number;
}

/** A time in which hosts sent nothing at all: no data is not the number zero. */
export interface Gap {
  since: number;
  until: number;
  hosts: string[];
}

/** Bars of the rows of an answer: `{time, action, rows}`. Bars that the answer does not have are empty. */
export function bars(rows: readonly Record<string, unknown>[], since: number, until: number, seconds: number): Bars {
  const step = seconds * 1000;
  const start = Math.floor(since / step) * step;
  const count = Math.max(1, Math.ceil((until - start) / step));
  const parts = Object.fromEntries(STACK.map((name) => [name, new Array<number>(count).fill(0)])) as Bars["parts"];
  let total = 0;
  for (const row of rows) {
    const at = Math.floor((Date.parse(String(row["time"])) - start) / step);
    if (!(at >= 0 && at < count)) continue;
    const action = row["action"] as Stacked;
    const n = Number(row["rows"]);
    parts[STACK.includes(action) ? action : "other"][at]! += n;
    total += n;
  }
  return { start, step, parts, total };
}

/**
 * The times in which hosts were silent that report every minute: `{time, host}` of what they reported, in pieces of
 * `seconds`, which are more than a minute so that a report that is a little late makes no gap.
 */
export function gaps(rows: readonly Record<string, unknown>[], since: number, until: number, seconds: number): Gap[] {
  const step = seconds * 1000;
  const start = Math.floor(since / step) * step;
  const count = Math.ceil((until - start) / step);
  const heard = new Map<string, boolean[]>();
  for (const row of rows) {
    const at = Math.floor((Date.parse(String(row["time"])) - start) / step);
    if (!(at >= 0 && at < count)) continue;
    const host = String(row["host"]);
    if (!heard.has(host)) heard.set(host, new Array<boolean>(count).fill(false));
    heard.get(host)![at] = true;
  }
  const silent: string[][] = Array.from({ length: count }, () => []);
  for (const [host, bits] of heard) {
    // before the first report a host may not have been there; after the last it may only be late
    const last = bits.lastIndexOf(true);
    for (let at = bits.indexOf(true) + 1; at < last; at++) if (!bits[at]) silent[at]!.push(host);
  }
  const out: Gap[] = [];
  for (const [at, hosts] of silent.entries()) {
    if (hosts.length === 0) continue;
    const since = start + at * step;
    const before = out.at(-1);
    if (before && before.until === since && before.hosts.join() === hosts.join()) before.until += step;
    else out.push({ since, until: since + step, hosts });
  }
  return out;
}
