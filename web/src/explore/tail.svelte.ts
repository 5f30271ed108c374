// Rows as they arrive. They are kept as the text that came, the last hundred thousand, and read only when they are shown:
// so an hour of two thousand a second costs a ring of short texts and forty rows of work for each picture.

import { follow, Problem, type Row, type Sent } from "../lib/api.ts";

/** Rows that are kept, and rows a second that the server may send. */
export const KEPT = 100_000;
const RATE = 2000;
/** Milliseconds of silence after which a connection is dead: the server says something every second. */
const SILENCE = 6000;
/** Milliseconds within which senders have delivered again what a killed server had not stored. */
const REDELIVERY = 300_000;

interface Told {
  matched: number;
  shown: number;
  sampled: number;
  skipped: number;
  missed: number;
  lag_ms: number;
  newest?: string;
}

/** The name of a row, of its text. */
function name(text: string): string {
  const at = text.lastIndexOf('"id":"');
  return text.slice(at + 6, text.indexOf('"', at + 6));
}

export class Tail {
  #ring: string[] = new Array<string>(KEPT);
  /** Rows that ever came; the newest is `came - 1`. */
  #came = 0;
  /** Rows that had come when the display was stopped. */
  #held: number | undefined;
  #parsed = new Map<number, Row>();
  #stop: AbortController | undefined;
  #after: string | undefined;
  /** Rows that are kept, by name, for a while after a connection was lost. */
  #seen: Set<string> | undefined;
  #forget: ReturnType<typeof setTimeout> | undefined;
  readonly #drawn: (fresh: number) => void;

  told = $state.raw<Told>({ matched: 0, shown: 0, sampled: 0, skipped: 0, missed: 0, lag_ms: 0 });
  /** Rows a second, over the last seconds. */
  rate = $state({ matched: 0, shown: 0 });
  link = $state<"connecting" | "open" | "lost">("connecting");
  reconnects = $state(0);
  error = $state.raw<unknown>();
  /** Whether the display stands still, and what came meanwhile. */
  paused = $state(false);
  waiting = $state(0);
  /** Rows that came while it stood still and are no longer kept. */
  gone = $state(0);

  constructor(drawn: (fresh: number) => void) {
    this.#drawn = drawn;
  }

  /** Follows a filter; what another filter brought goes. */
  start(filter: string): void {
    this.stop();
    this.#came = 0;
    this.#held = undefined;
    this.#ring = new Array<string>(KEPT);
    this.#parsed.clear();
    this.#after = undefined;
    this.#seen = undefined;
    this.paused = false;
    this.waiting = this.gone = this.reconnects = 0;
    this.error = undefined;
    const stop = new AbortController();
    this.#stop = stop;
    void this.#follow(filter, stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = undefined;
  }

  async #follow(filter: string, signal: AbortSignal): Promise<void> {
    let pause = 250;
    while (!signal.aborted) {
      const began = Date.now();
      this.#remember();
      const silent = new AbortController();
      let watch = setTimeout(() => silent.abort(), SILENCE);
      const take = (events: Sent[]) => {
        clearTimeout(watch);
        watch = setTimeout(() => silent.abort(), SILENCE);
        this.#take(events);
      };
      try {
        const body = { filter, rate: RATE, ...(this.#after !== undefined && { after: this.#after }) };
        await follow("tail", body, take, AbortSignal.any([signal, silent.signal]));
      } catch (error) {
        if (signal.aborted) return;
        // a filter that is wrong stays wrong; a server that is away comes back
        if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
          this.error = error;
          return;
        }
      } finally {
        clearTimeout(watch);
      }
      if (signal.aborted) return;
      this.link = "lost";
      this.reconnects++;
      pause = Date.now() - began > 5000 ? 250 : Math.min(pause * 2, 5000);
      await new Promise((later) => setTimeout(later, pause * (0.75 + Math.random() / 2)));
    }
  }

  #take(events: Sent[]): void {
    this.link = "open";
    let fresh = 0;
    for (const { event, id, data } of events) {
      if (id !== undefined) this.#after = id;
      if (event === "row") {
        if (this.#seen?.has(name(data))) continue;
        this.#parsed.delete(this.#came - KEPT);
        this.#ring[this.#came % KEPT] = data;
        this.#came++;
        fresh++;
      } else if (event === "stats") this.#count(JSON.parse(data) as Told);
      else if (event === "end") this.error = new Problem(500, JSON.parse(data));
    }
    if (fresh === 0) return;
    if (this.#held !== undefined) {
      this.waiting = this.#came - this.#held;
      this.gone = Math.max(0, this.waiting - KEPT);
    } else this.#drawn(fresh);
  }

  /**
   * What a server that was killed had shown but not yet stored, its senders deliver again, and it is as new to the server
   * that comes back. Rows have names, so that nothing is shown twice.
   */
  #remember(): void {
    if (this.#came === 0) return;
    const seen = new Set<string>();
    for (let at = Math.max(0, this.#came - KEPT); at < this.#came; at++) seen.add(name(this.#ring[at % KEPT]!));
    this.#seen = seen;
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => (this.#seen = undefined), REDELIVERY);
  }

  #count(told: Told): void {
    // a new connection counts from nought
    const before = told.matched < this.told.matched ? { matched: 0, shown: 0 } : this.told;
    this.rate = { matched: told.matched - before.matched, shown: told.shown - before.shown };
    this.told = told;
  }

  /** Holds the display; rows go on coming. */
  pause(): void {
    if (this.#held !== undefined) return;
    this.#held = this.#came;
    this.paused = true;
    this.waiting = this.gone = 0;
  }

  /** Goes on with the newest. */
  resume(): void {
    const fresh = this.waiting;
    this.#held = undefined;
    this.paused = false;
    this.waiting = this.gone = 0;
    this.#drawn(fresh);
  }

  get #end(): number {
    return this.#held ?? this.#came;
  }

  /** Rows that can be shown. */
  length(): number {
    return Math.max(0, Math.min(this.#end, KEPT - (this.#came - this.#end)));
  }

  /** A row by its place from the newest. */
  row(at: number): Row | undefined {
    const number = this.#end - 1 - at;
    if (number < 0 || number < this.#came - KEPT) return undefined;
    let row = this.#parsed.get(number);
    if (!row) {
      row = JSON.parse(this.#ring[number % KEPT]!) as Row;
      if (this.#parsed.size > 400) this.#parsed.clear();
      this.#parsed.set(number, row);
    }
    return row;
  }
}
