// The time that a page is about: as its address says, up to the moment when it was last asked.

import { untrack } from "svelte";
import { every } from "./live.ts";
import { route } from "./router.svelte.ts";
import { iso, span, type Span } from "./time.ts";

export class Looking {
  now = $state(Date.now());
  readonly #fallback: string;
  /** The range as it was asked for; what is no range is as if nothing was said. */
  readonly span: Span = $derived.by(() => {
    const asked = { from: route.query.get("from") ?? this.#fallback, to: route.query.get("to") ?? undefined };
    return span(asked, this.now) ?? span({ from: this.#fallback }, this.now)!;
  });
  /** The same for questions and links: two absolute times, so that both give the same numbers. */
  readonly window = $derived({ since: iso(this.span.since), until: iso(this.span.until) });

  /** Call while a component is set up. A range that ends now is asked for anew each so many seconds. */
  constructor(fallback: string, seconds: number) {
    this.#fallback = fallback;
    $effect(() =>
      every(seconds * 1000, () =>
        untrack(() => {
          if (!route.query.get("to")) this.now = Date.now();
        }),
      ),
    );
  }

  /** The same for links to the explorer. */
  get link(): { from: string; to: string } {
    return { from: this.window.since, to: this.window.until };
  }
}
