// What one person likes, kept by the browser. An address that says otherwise counts where it is shown.

import { go, route } from "./router.svelte.ts";

const PREFIX = "bartizan.";

function kept<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    if (text === null) return fallback;
    return typeof fallback === "string" ? (text as T) : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, typeof value === "string" ? value : JSON.stringify(value));
  } catch {
    // a private window, or no room: then it is not kept
  }
}

export type Theme = "system" | "light" | "dark";

export const COLUMNS = ["time", "action", "host", "src", "sport", "dst", "dport", "proto", "tcp_flags", "rule", "in_if"];
const FACETS = ["action", "host", "src", "dport", "rule", "proto"];

class Prefs {
  #theme = $state<Theme>(kept<Theme>("theme", "system"));
  #utc = $state<boolean>(kept("utc", false));
  #columns = $state.raw<string[]>(kept("columns", COLUMNS));
  #facets = $state.raw<string[]>(kept("facets", FACETS));
  #history = $state.raw<string[]>(kept("history", [] as string[]));

  get theme(): Theme {
    return this.#theme;
  }
  set theme(theme: Theme) {
    this.#theme = theme;
    keep("theme", theme);
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }

  /** Times in UTC, not in the browser's zone: as the address says, or as was chosen last. */
  get utc(): boolean {
    const said = route.query.get("tz");
    return said === null ? this.#utc : said === "utc";
  }
  set utc(utc: boolean) {
    this.#utc = utc;
    keep("utc", utc);
    if (!route.query.has("tz")) return;
    const query = new URLSearchParams(route.query);
    query.set("tz", utc ? "utc" : "local");
    go(`${route.path}?${query}`, true);
  }

  /** Columns of the explorer's rows, in order. */
  get columns(): string[] {
    return this.#columns;
  }
  set columns(columns: string[]) {
    this.#columns = columns;
    keep("columns", columns);
  }

  /** Facets that are open. What is closed is not computed. */
  get facets(): string[] {
    return this.#facets;
  }
  set facets(facets: string[]) {
    this.#facets = facets;
    keep("facets", facets);
  }

  /** Filters that were asked, the latest first. */
  get history(): string[] {
    return this.#history;
  }
  remember(filter: string): void {
    if (filter === "") return;
    this.#history = [filter, ...this.#history.filter((f) => f !== filter)].slice(0, 50);
    keep("history", this.#history);
  }

  /** The latest address of the explorer, and when the overview was last looked at. */
  note(name: "explore" | "seen", value: string): void {
    keep(name, value);
  }
  noted(name: "explore" | "seen"): string {
    return kept(name, "");
  }
}

export const prefs = new Prefs();
