// Numbers over time: bars of one length, whatever they count.

/** Bars that begin at `start`, each `step` milliseconds long. */
export interface Steps {
  start: number;
  step: number;
  count: number;
}

/** The bars of a time; one of them begins at `origin`. */
export function steps(since: number, until: number, seconds: number, origin = 0): Steps {
  const step = seconds * 1000;
  const start = Math.floor((since - origin) / step) * step + origin;
  return { start, step, count: Math.max(1, Math.ceil((until - start) / step)) };
}

/** A column of rows `{time, …}` as one number for each bar. Bars without a row are 0. */
export function values(rows: readonly Record<string, unknown>[], steps: Steps, column: string): number[] {
  const out = new Array<number>(steps.count).fill(0);
  for (const row of rows) {
    const at = Math.floor((Date.parse(String(row["time"])) - steps.start) / steps.step);
    if (at >= 0 && at < steps.count) out[at]! += Number(row[column] ?? 0);
  }
  return out;
}

/** Round numbers from 0 that reach up to the largest: at most `most` of them beside 0. `unit` is 1024 for bytes. */
export function ticks(max: number, most: number, unit = 10): number[] {
  if (!(max > 0)) return [0];
  // bytes are round in KiB, MiB, …
  const whole = unit === 10 ? 1 : unit ** Math.max(0, Math.floor(Math.log(max) / Math.log(unit)));
  const rough = max / whole / most;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough)! * whole;
  return Array.from({ length: Math.floor(max / size + 1e-9) + 1 }, (_, i) => i * size);
}
