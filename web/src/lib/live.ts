// Pages that stay up to date: they ask again every so often, and not while nobody sees them.

import { serverNow } from "./api.ts";

/** Until when what was logged is here, as a rule: of the last seconds not all has come, and a number that is asked for
 * twice would be two numbers. */
export const settled = (): number => serverNow() - 5000;

/** Runs now, then every so many milliseconds while the tab is in view; at once when it comes back after longer than that. */
export function every(ms: number, run: () => void): () => void {
  let last = Date.now();
  const timer = setInterval(() => tick(ms / 2), ms);
  const seen = () => tick(ms);
  function tick(least: number) {
    if (document.hidden || Date.now() - last < least) return;
    last = Date.now();
    run();
  }
  document.addEventListener("visibilitychange", seen);
  run();
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}
