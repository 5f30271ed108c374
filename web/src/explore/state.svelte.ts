// What the explorer shows is what its address says. Nothing else is kept: what an address leaves out is completed with
// what its reader likes, and then stands in it, so that a link shows others the same.

import { joined, split } from "../lib/filter.ts";
import { prefs } from "../lib/prefs.svelte.ts";
import { go, route } from "../lib/router.svelte.ts";
import { iso, span, type Range, type Span } from "../lib/time.ts";

export const RANGES: [string, string][] = [
  ["-5m", "5 minutes"],
  ["-15m", "15 minutes"],
  ["-1h", "hour"],
  ["-6h", "6 hours"],
  ["-24h", "24 hours"],
  ["-7d", "7 days"],
  ["-30d", "30 days"],
  ["-365d", "year"],
];

/** What an address can hold; what is left out is as it is where nothing is said. */
export interface Held {
  q?: string;
  /** Terms that do not count, but stay at hand. */
  off?: string[];
  from?: string;
  to?: string | undefined;
  cols?: string[];
  /** Facets that are open; nothing, where the facets are not shown. */
  facets?: string[] | undefined;
  utc?: boolean;
  group?: boolean;
  live?: boolean;
  cmp?: boolean;
  ev?: string | undefined;
  /** The view that this began as. */
  view?: string | undefined;
}

/** Narrow windows have no room for facets beside the rows. */
const ROOM = 760;
/** What an address says of facets that are not shown. */
const HIDDEN = "none";

class State {
  readonly q = $derived(route.query.get("q") ?? "");
  readonly off = $derived(route.query.getAll("off"));
  readonly from = $derived(route.query.get("from") ?? "-1h");
  readonly to = $derived(route.query.get("to") ?? undefined);
  readonly cols = $derived(route.query.get("cols")?.split(",") ?? prefs.columns);
  readonly facets = $derived.by(() => {
    const said = route.query.get("facets") ?? (innerWidth > ROOM ? prefs.facets.join(",") : HIDDEN);
    return said === HIDDEN ? undefined : said.split(",").filter(Boolean);
  });
  readonly group = $derived(route.query.has("group"));
  readonly live = $derived(route.query.has("live"));
  readonly cmp = $derived(route.query.has("cmp"));
  readonly ev = $derived(route.query.get("ev") ?? undefined);
  readonly view = $derived(route.query.get("view") ?? undefined);
  readonly terms = $derived(split(this.q));

  /** The address of this with changes. */
  address(change: Held): string {
    const all: Held = {
      q: this.q,
      off: this.off,
      from: this.from,
      to: this.to,
      cols: this.cols,
      facets: this.facets,
      utc: prefs.utc,
      group: this.group,
      live: this.live,
      cmp: this.cmp,
      ev: this.ev,
      view: this.view,
      ...change,
    };
    const query = new URLSearchParams();
    if (all.q) query.set("q", all.q);
    for (const term of all.off ?? []) query.append("off", term);
    query.set("from", all.from ?? "-1h");
    if (all.to) query.set("to", all.to);
    query.set("tz", all.utc ? "utc" : "local");
    query.set("cols", (all.cols ?? this.cols).join(","));
    query.set("facets", all.facets?.join(",") ?? HIDDEN);
    if (all.group) query.set("group", "1");
    if (all.live) query.set("live", "1");
    if (all.cmp) query.set("cmp", "1");
    if (all.view) query.set("view", all.view);
    if (all.ev) query.set("ev", all.ev);
    return `/explore?${query.toString().replace(/%2C/g, ",")}`;
  }

  /** Completes the address, and keeps it for the next visit. */
  complete(): void {
    const whole = this.address({});
    if (whole !== location.pathname + location.search) go(whole, true);
    prefs.note("explore", whole);
  }

  set(change: Held, replace = false): void {
    const to = this.address(change);
    go(to, replace);
    if (change.q !== undefined) prefs.remember(change.q);
  }

  /** Takes a filter's terms in place of those that count. */
  filter(terms: readonly string[], off: string[] = this.off): void {
    this.set({ q: joined(terms), off });
  }

  get range(): Range {
    return { from: this.from, to: this.to };
  }

  span(now: number): Span | undefined {
    return span(this.range, now);
  }

  /** The same with absolute times, for others and for later. */
  link(now: number): string {
    const span = this.span(now);
    return location.origin + this.address(span ? { from: iso(span.since), to: iso(span.until), live: false } : {});
  }

  /** The same as a command. */
  command(): string {
    const shell = (text: string) => `'${text.replace(/'/g, "'\\''")}'`;
    const verb = this.live ? "tail" : "search";
    const since = this.live ? "" : ` --since ${this.from.replace(/^-/, "")}${this.to ? ` --until ${this.to}` : ""}`;
    return `bartizan ${verb} ${shell(this.q)}${since}`;
  }
}

export const state = new State();
