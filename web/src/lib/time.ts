// Times: what a range means, how long the bars of a histogram are, and how moments are written.

/** A range as it is asked for: `-1h` or a moment; `to` is left out for "now". */
export interface Range {
  from: string;
  to?: string | undefined;
}

/** A range in milliseconds since 1970. */
export interface Span {
  since: number;
  until: number;
}

const UNITS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

/** The length of `-90m` in milliseconds, if it is one. */
export function ago(text: string): number | undefined {
  const found = /^-(\d{1,6})([smhdw])$/.exec(text);
  return found ? Number(found[1]) * UNITS[found[2]!]! : undefined;
}

/** A moment of a text, in milliseconds: relative to now, or RFC 3339. */
export function moment(text: string, now: number): number | undefined {
  const before = ago(text);
  if (before !== undefined) return now - before;
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const at = Date.parse(text.replace(/(\.\d{3})\d+/, "$1"));
  return Number.isNaN(at) ? undefined : at;
}

/** A range as a span, if it means one and is not the wrong way round. */
export function span(range: Range, now: number): Span | undefined {
  const since = moment(range.from, now);
  const until = range.to ? moment(range.to, now) : now;
  return since === undefined || until === undefined || since >= until ? undefined : { since, until };
}

/** A moment for the server and for addresses. */
export function iso(at: number): string {
  return new Date(at).toISOString();
}

/** Lengths of bars, in seconds. */
const BARS = [1, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400, 604800];

/** The shortest bars of which at most `most` fill a span. */
export function bar(span: Span, most = 120): number {
  const seconds = (span.until - span.since) / 1000;
  return BARS.find((bar) => seconds / bar <= most) ?? Math.ceil(seconds / most / 604800) * 604800;
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

function parts(at: number, utc: boolean): [string, string, string] {
  const d = new Date(at);
  return utc
    ? [
        `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())}`,
        `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`,
        pad(d.getUTCMilliseconds(), 3),
      ]
    : [
        `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`,
        `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`,
        pad(d.getMilliseconds(), 3),
      ];
}

/** Day, time and milliseconds. */
export function long(at: number, utc: boolean): string {
  const [day, time, ms] = parts(at, utc);
  return `${day} ${time}.${ms}`;
}

/** Time and milliseconds; with the day where it is not today's. */
export function short(at: number, utc: boolean, now: number): string {
  const [day, time, ms] = parts(at, utc);
  return day === parts(now, utc)[0] ? `${time}.${ms}` : `${day.slice(5)} ${time}.${ms}`;
}

/** Day and time to the second. */
export function plain(at: number, utc: boolean): string {
  const [day, time] = parts(at, utc);
  return `${day} ${time}`;
}

/** A length of time in one or two words. */
export function length(ms: number): string {
  const s = Math.abs(ms) / 1000;
  if (s < 1) return `${Math.round(Math.abs(ms))} ms`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/** How long ago a moment was, in words. */
export function since(at: number, now: number): string {
  return now - at < 1500 && now >= at - 1500 ? "now" : now >= at ? `${length(now - at)} ago` : `in ${length(at - now)}`;
}
