// Takes rows home: all that match, not those that are on the screen; counted as they come.

import type { Row } from "../lib/api.ts";

/** What a spreadsheet would take for a formula begins with one of these. */
const FORMULA = /^[=+\-@\t\r]/;

/** One cell of a CSV file (RFC 4180). A formula is made a text. */
export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = String(value);
  const safe = typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** A line of a CSV file. */
export function csvLine(row: Row, columns: readonly string[]): string {
  return `${columns.map((column) => csvCell(row[column])).join(",")}\r\n`;
}
