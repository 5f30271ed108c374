// Numbers and texts as they are shown.

const GROUPED = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** All digits, in groups. */
export const count = (n: number): string => GROUPED.format(n);

/** Three digits or so, for where there is little room. */
export const compact = (n: number): string => (Math.abs(n) < 10_000 ? GROUPED.format(n) : SHORT.format(n));

/** Bytes in units of 1024. */
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < 5) {
    n /= 1024;
    unit++;
  }
  return `${n >= 100 || unit === 0 ? Math.round(n) : n.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}

/** A share of a whole. */
export const percent = (part: number, whole: number): string =>
  whole === 0 ? "" : `${((100 * part) / whole).toFixed(part === whole ? 0 : 1)} %`;

// Controls, line ends, marks of direction, tags, and what has no width: nothing that a stranger wrote may steer what is
// around it, or look like something else.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** A text of a stranger with its unseen characters written out. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}

/** The text of a cell: short, on one line, with nothing unseen. */
export function cell(value: unknown, most = 512): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
  return visible(text.length > most ? `${text.slice(0, most)}…` : text);
}
