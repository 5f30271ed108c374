// Imports as the server tells them, and what became of their records in the words of the page.

export interface Import {
  import: string;
  name: string;
  format: string;
  state: string;
  position: number;
  committed: number;
  totals: unknown;
  started: string;
  touched: string;
  finished: string | null;
}

export const STATES: Record<string, { sign: string; badge: string; about: string }> = {
  done: { sign: "✓", badge: "good", about: "everything was read" },
  partial: { sign: "⚠", badge: "bad", about: "something could not be read, and is named; everything else is there" },
  unfinished: { sign: "…", badge: "warn", about: "it has not come to its end" },
};

export const EXAMPLES = [
  { command: "bartizan import '/var/log/kern.log*' --dry-run", about: "what would be read, from when to when" },
  { command: "bartizan import '/var/log/kern.log*'", about: "plain, gz, xz, zst, bz2" },
  { command: "journalctl -k -o export | bartizan import -", about: "the journal" },
  { command: "bartizan import capture.pcap --host web-01", about: "packets" },
  { command: "bartizan import postgres://ulog@db/ulog2 --host gw", about: "ulogd's databases" },
];

/** How much of what was delivered is written for good, in percent. */
export function progress(one: Import): number | undefined {
  return one.position > 0 ? Math.min(100, (100 * one.committed) / one.position) : undefined;
}

/** Those in which every word is found. */
export function found(imports: readonly Import[], wanted: string): Import[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  return imports.filter((one) => words.every((word) => `${one.name} ${one.format} ${one.state}`.toLowerCase().includes(word)));
}

interface Sum {
  name: string;
  n: number;
}
export interface Parts {
  sums: Sum[];
  skipped: Sum[];
  unreadable: string[];
}

const NAMES: [string, string][] = [
  ["records", "records read"],
  ["events", "events"],
  ["unparsed", "not fully understood"],
  ["flows", "flows"],
  ["counters", "counters"],
  ["lines", "other lines"],
];

/** What became of records. Totals are what the client said: whatever is in them, it is shown or left out. */
export function parts(totals: unknown): Parts {
  const all = (totals && typeof totals === "object" ? totals : {}) as Record<string, unknown>;
  const sums: Sum[] = [];
  for (const [key, name] of NAMES) {
    const n = all[key];
    if (typeof n === "number" && (n > 0 || key === "records")) sums.push({ name, n });
  }
  const reasons = all["skipped"];
  const skipped: Sum[] =
    typeof reasons === "number"
      ? [{ name: "records", n: reasons }]
      : Object.entries((reasons ?? {}) as Record<string, unknown>).flatMap(([name, n]) => (typeof n === "number" && n > 0 ? [{ name, n }] : []));
  const told = all["unreadable"];
  const unreadable = Array.isArray(told) ? told.map(String) : typeof told === "number" && told > 0 ? [`${told} could not be read`] : [];
  return { sums, skipped, unreadable };
}
