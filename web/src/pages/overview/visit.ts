// When somebody last looked. A visit is looking without a pause of half an hour: what is new stays new while one looks
// at it, also when the page is loaded again.

const PAUSE = 30 * 60_000;

export interface Visit {
  /** When the visit before this one ended, if there was one. */
  since: number | undefined;
  /** What is to be noted. */
  note: string;
}

/** The visit that goes on or begins, of what was noted: `END OF THE LAST/LATEST LOOK`. */
export function visit(noted: string, now: number): Visit {
  const [before, latest] = noted.split("/").map((text) => Number(text) || 0) as [number, number | undefined];
  const goesOn = latest !== undefined && now - latest < PAUSE && latest <= now;
  const since = goesOn ? before : (latest ?? 0);
  return { since: since > 0 && since < now ? since : undefined, note: `${since > 0 ? since : 0}/${now}` };
}
