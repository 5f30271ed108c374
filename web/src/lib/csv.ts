// Rows as text for other programs.

/** A cell as RFC 4180 wants it. What a spreadsheet would take for a formula is marked as text. */
function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/** A head and rows, with the line ends of RFC 4180. */
export function csv(columns: readonly string[], rows: readonly Record<string, unknown>[]): string {
  const lines = [columns.map(csvCell), ...rows.map((row) => columns.map((name) => csvCell(row[name])))];
  return lines.map((cells) => `${cells.join(",")}\r\n`).join("");
}
