// The hosts as rows: what each column shows, how it is sorted, and which rows a filter leaves.

import type { GridColumn } from "../../lib/grid.ts";
import { term } from "../../lib/filter.ts";
import { bytes, cell, count } from "../../lib/format.ts";
import { explore } from "../../lib/router.svelte.ts";
import { iso, length, since, type Span } from "../../lib/time.ts";
import { at, certificate, inGroup, SIGN, STATES, stateOf, TONE, type Host, type State } from "./hosts.ts";

export interface Line {
  host: Host;
  state: State;
  groups: string[];
  /** Events a second, of the last minutes; unknown until that was asked. */
  rate: number | undefined;
  /** Events of the last day, and of which day exactly. */
  day: { events: number; since: number; until: number } | undefined;
  /** Events of each of the last 24 hours. */
  hours: number[] | undefined;
  generation: string | undefined;
}

const c = (name: string, title: string, width: number, number = false): GridColumn => ({ name, title, width, number });
const ALL: GridColumn[] = [
  c("state", "state", 78),
  c("name", "host", 150),
  c("last_event", "last event", 92),
  c("last_contact", "contact", 92),
  c("rate", "events/s", 74, true),
  c("hours", "last 24 h", 190),
  c("events", "events 24 h", 96, true),
  c("lost", "lost 24 h", 84, true),
  c("spool", "waiting", 130, true),
  c("clock", "clock", 76, true),
  c("certificate", "certificate", 92),
  c("generation", "rules", 88),
  c("version", "version", 76),
  c("groups", "groups", 120),
  c("reports", "reports", 72),
];

/** The columns that have something to show. */
export function columns(lines: readonly Line[]): GridColumn[] {
  const some = (test: (line: Line) => unknown) => lines.some((line) => test(line));
  const wanted: Record<string, boolean> = {
    hours: some((l) => l.hours),
    spool: some((l) => l.host.spool_bytes !== undefined),
    generation: some((l) => l.generation),
    version: some((l) => l.host.version),
    groups: some((l) => l.groups.length),
    reports: some((l) => l.host.reports !== "agent"),
  };
  return ALL.filter((column) => wanted[column.name] ?? true);
}

const BLOCKS = "▁▂▃▄▅▆▇█";

/** Numbers as a row of blocks; a space where there was none. */
export function spark(numbers: readonly number[]): string {
  const most = Math.max(1, ...numbers);
  return numbers.map((n) => (n === 0 ? "·" : BLOCKS[Math.min(7, Math.floor((8 * n) / most))]!)).join("");
}

/** How far a clock is off: not at all below a tenth of a second. */
export function clock(ms: number | null): string {
  if (ms === null) return "";
  return Math.abs(ms) < 100 ? "0" : `${ms > 0 ? "+" : "−"}${length(ms)}`;
}

export function rate(perSecond: number | undefined): string {
  if (perSecond === undefined) return "";
  return perSecond === 0 ? "0" : perSecond < 10 ? perSecond.toFixed(perSecond < 0.095 ? 2 : 1) : count(Math.round(perSecond));
}

export function text(line: Line, column: string, now: number): string {
  const { host } = line;
  const ago = (stamp: string | null) => (at(stamp) === undefined ? (host.events > 0 ? "not known" : "never") : since(at(stamp)!, now));
  switch (column) {
    case "state":
      return `${SIGN[line.state]} ${line.state}`;
    case "name":
      return cell(host.name, 300);
    case "last_event":
      return ago(host.last_event);
    case "last_contact":
      return at(host.last_contact) === undefined ? "never" : since(at(host.last_contact)!, now);
    case "rate":
      return rate(line.rate);
    case "hours":
      return line.hours ? spark(line.hours) : "";
    case "events":
      return count(line.day?.events ?? host.events);
    case "lost":
      return count(host.lost);
    case "spool":
      return spool(host, now);
    case "clock":
      return clock(host.clock_offset_ms);
    case "certificate": {
      const end = at(host.cert_not_after);
      return end === undefined ? "" : end <= now ? "has ended" : length(end - now);
    }
    case "generation":
      return line.generation?.slice(0, 8) ?? "";
    case "version":
      return cell(host.version ?? "");
    case "groups":
      return cell(line.groups.join(", "));
    case "reports":
      return cell(host.reports);
    default:
      return "";
  }
}

/** What waits on the host to be sent, and since when. The files of its spool may hold what was sent as well. */
export function spool(host: Host, now: number): string {
  if (host.spool_bytes === undefined || host.spool_bytes === null) return "";
  const oldest = at(host.spool_oldest);
  if (host.spool_batches === 0 || (host.spool_bytes === 0 && oldest === undefined)) return "0";
  return `${bytes(host.spool_bytes)}${oldest === undefined ? "" : `, ${length(now - oldest)}`}`;
}

export function tone(line: Line, column: string, now: number): string | undefined {
  if (column === "state") return TONE[line.state];
  if (column === "lost") return line.host.lost > 0 ? "bad" : "dim";
  if (column === "certificate") return certificate(line.host, now) || "dim";
  if (column === "clock") return Math.abs(line.host.clock_offset_ms ?? 0) >= 1000 ? "warn" : "dim";
  if (column === "spool") return now - (at(line.host.spool_oldest) ?? now) > 60_000 ? "warn" : "dim";
  if (column === "last_contact") return line.state === "late" || line.state === "lost" ? TONE[line.state] : undefined;
  if (["hours", "generation", "version", "groups", "reports"].includes(column)) return "dim";
  return undefined;
}

/** Where a cell leads. A number leads to the events that it counts. */
export function link(line: Line, column: string, now: number, rated: Span): string | undefined {
  const page = `/fleet/${encodeURIComponent(line.host.name)}`;
  const q = term("host", line.host.name);
  switch (column) {
    case "name":
    case "state":
    case "last_contact":
      return page;
    case "lost":
      return `${page}?from=-24h&part=losses`;
    case "events":
    case "hours":
    case "last_event":
      return explore({ q, from: iso(line.day?.since ?? now - 864e5), to: iso(line.day?.until ?? now) });
    case "rate":
      return line.rate === undefined ? undefined : explore({ q, from: iso(rated.since), to: iso(rated.until) });
    case "generation":
      return line.generation && `/rules/${encodeURIComponent(line.host.name)}`;
    default:
      return undefined;
  }
}

const ORDER = ["waiting", "lost", "late", "silent", "never", "quiet", "live", "revoked", "retired"];

/** What a column is sorted by. */
function key(line: Line, column: string): number | string {
  const { host } = line;
  const numbers: Record<string, () => number> = {
    state: () => ORDER.indexOf(line.state),
    last_event: () => -(at(host.last_event) ?? 0),
    last_contact: () => -(at(host.last_contact) ?? 0),
    rate: () => line.rate ?? -1,
    hours: () => line.day?.events ?? host.events,
    events: () => line.day?.events ?? host.events,
    lost: () => host.lost,
    spool: () => (host.spool_batches === 0 ? 0 : (host.spool_bytes ?? -1)),
    clock: () => Math.abs(host.clock_offset_ms ?? -1),
    certificate: () => at(host.cert_not_after) ?? Infinity,
  };
  return numbers[column]?.() ?? text(line, column, 0).toLowerCase();
}

/** Whether a column is first looked at from its largest value. */
export const downFirst = (column: string): boolean => ["rate", "hours", "events", "lost", "spool", "clock"].includes(column);

export function sort(lines: Line[], column: string, down: boolean): Line[] {
  const keys = new Map(lines.map((line) => [line, key(line, column)]));
  const way = down ? -1 : 1;
  return lines.sort((a, b) => {
    const [x, y] = [keys.get(a)!, keys.get(b)!];
    return (x < y ? -way : x > y ? way : 0) || (a.host.name < b.host.name ? -1 : 1);
  });
}

/** The lines in which every word of a text is found. */
export function find(lines: readonly Line[], wanted: string, state: string, group: string): Line[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  return lines.filter((line) => {
    if (state && line.state !== state) return false;
    if (group && !line.groups.includes(group)) return false;
    const { host } = line;
    const all = [host.name, line.state, host.reports, host.id, host.version, line.generation, ...line.groups].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

export function lineOf(host: Host, groups: readonly { name: string; hosts: string[] }[], now: number): Line {
  const own = groups.filter((group) => inGroup(host.name, group.hosts)).map((group) => group.name);
  return { host, state: stateOf(host, now), groups: own, rate: undefined, day: undefined, hours: undefined, generation: undefined };
}

/** How many hosts there are of each state, in the order in which states are told. */
export const tally = (lines: readonly Line[]): { state: State; n: number }[] =>
  STATES.map((state) => ({ state, n: lines.filter((line) => line.state === state).length })).filter((s) => s.n > 0);
