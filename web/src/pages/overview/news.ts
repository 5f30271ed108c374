// What was never there before, and what is not there any more.

import type { Changes } from "./changes.ts";

export interface Found {
  /** Each value with its events, those of most first. */
  values: { value: string | number; events: number }[];
  /** Whether nothing else can be among what was not looked at. */
  all: boolean;
  /** Whether there is anything to compare with. */
  compared: boolean;
  complete: boolean;
}

/** The values that the one time has and the other has not at all. */
export function onlyNow(changes: Changes): Found {
  const values = changes.values
    .filter((change) => change.before === 0 && change.now > 0 && change.value !== null)
    .map((change) => ({ value: change.value!, events: change.now }));
  return { values, all: changes.all, compared: changes.values.some((c) => c.before > 0), complete: changes.complete };
}

/** Kinds of which nothing was found: where all was looked at, or where only those of most events were. */
export const none = (found: readonly Found[], kinds: readonly { many: string }[], all: boolean): string =>
  kinds.filter((_, i) => found[i]!.values.length === 0 && found[i]!.all === all).map((kind) => kind.many).join(", ");
