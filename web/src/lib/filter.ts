// The filter as text, and as the terms that must all hold. The server reads filters; here they are only taken apart
// where no quote and no parenthesis is open, so that a term can be turned over, off or out without asking it.

import fields from "./fields.json";

export interface Field {
  name: string;
  kind: string;
  columns: string[];
  tables: string[];
  about: string;
}

export const FIELDS: Field[] = fields;

/** The field that is exactly one column. */
const OF_COLUMN = new Map<string, string>();
for (const field of FIELDS) {
  if (field.kind !== "group" && field.columns.length === 1) OF_COLUMN.set(field.columns[0]!, field.name);
}

/** The name in filters of a column, if it has one. */
export function fieldOf(column: string): string | undefined {
  return OF_COLUMN.get(column) ?? (column === "mac_src" || column === "mac_dst" ? "mac" : undefined);
}

const PLAIN = /^[\p{L}\p{N}_][\p{L}\p{N}_\-./:+%#]*$/u;

/** A text in quotes; a backslash is doubled only where it would be read as an escape. */
export function quoted(text: string): string {
  return `"${text.replace(/\\(?=["\\]|$)/g, "\\\\").replace(/"/g, '\\"')}"`;
}

/** The term that says that a field has a value, or (of `null`) that it has none. */
export function term(field: string, value: string | number | null | undefined): string {
  if (value === null || value === undefined || value === "") return `-${field}:*`;
  const kind = FIELDS.find((f) => f.name === field)?.kind;
  const text = String(value);
  if (kind === "text" || kind === "group" || kind === undefined) {
    return `${field}:${PLAIN.test(text) ? text : quoted(text)}`;
  }
  return kind === "flags" ? flags(field, text) : `${field}:${text}`;
}

const FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ae"];

/** Exactly these flags: a list alone would be any of them. */
function flags(field: string, text: string): string {
  const set = text.toLowerCase().split(/[^a-z]+/).filter((flag) => FLAGS.includes(flag));
  const unset = FLAGS.filter((flag) => !set.includes(flag));
  return `(${[...set.map((flag) => `${field}:${flag}`), `-${field}:${unset.join()}`].join(" ")})`;
}

/** A piece of a filter's text. */
export interface Piece {
  kind: "field" | "value" | "word" | "and" | "or" | "not" | "paren" | "space";
  text: string;
  start: number;
}

/** The pieces of a text, all of it, for colouring. Any text has pieces; whether they mean something, the server says. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  const push = (kind: Piece["kind"], end: number) => {
    out.push({ kind, text: text.slice(at, end), start: at });
    at = end;
  };
  while (at < text.length) {
    const c = text[at]!;
    if (/\s/.test(c)) {
      let end = at + 1;
      while (end < text.length && /\s/.test(text[end]!)) end++;
      push("space", end);
    } else if (c === "(" || c === ")") {
      push("paren", at + 1);
    } else if ((c === "-" || c === "!") && at + 1 < text.length && !/[\s)]/.test(text[at + 1]!)) {
      push("not", at + 1);
    } else {
      const end = wordEnd(text, at);
      const word = text.slice(at, end);
      const name = /^([A-Za-z][A-Za-z.]*):/.exec(word)?.[1];
      if (name !== undefined && name !== "" && !isAddress(word)) {
        push("field", at + name.length + 1);
        if (at < end) push("value", end);
      } else if (/^or$/i.test(word)) push("or", end);
      else if (/^and$/i.test(word)) push("and", end);
      else if (/^not$/i.test(word)) push("not", end);
      else push("word", end);
    }
  }
  return out;
}

function isAddress(word: string): boolean {
  return /^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,}/i.test(word);
}

/** Where a term ends: at a space or a parenthesis outside quotes. */
function wordEnd(text: string, from: number): number {
  let open = false;
  for (let at = from; at < text.length; at++) {
    const c = text[at]!;
    if (open) {
      if (c === "\\" && (text[at + 1] === '"' || text[at + 1] === "\\")) at++;
      else if (c === '"') open = false;
    } else if (c === '"') open = true;
    else if (/[\s()]/.test(c)) return at;
  }
  return text.length;
}

/** The terms that must all hold. A filter with an OR outside parentheses is one term. */
export function split(text: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let start = -1;
  let end = -1;
  const close = () => {
    if (start >= 0) terms.push(text.slice(start, end));
    start = -1;
  };
  let open = false; // a NOT waits for what it turns over
  for (const piece of pieces(text)) {
    if (piece.kind === "space") {
      if (depth === 0 && !open) close();
      continue;
    }
    if (piece.kind === "or" && depth === 0) return [`(${text.trim()})`];
    if (piece.kind === "and" && depth === 0) {
      close();
      continue;
    }
    if (start < 0) start = piece.start;
    end = piece.start + piece.text.length;
    open = piece.kind === "not";
    if (piece.text === "(" && piece.kind === "paren") depth++;
    if (piece.text === ")" && piece.kind === "paren") {
      depth = Math.max(0, depth - 1);
      if (depth === 0) close();
    }
  }
  close();
  return terms.filter((term) => term !== "*");
}

/** The filter of terms. */
export function joined(terms: readonly string[]): string {
  return terms.length === 1 ? bare(terms[0]!) : terms.join(" ");
}

/** A term without parentheses that only stand beside others. */
function bare(term: string): string {
  if (!term.startsWith("(") || !term.endsWith(")")) return term;
  let depth = 0;
  for (const piece of pieces(term)) {
    if (piece.kind !== "paren") continue;
    depth += piece.text === "(" ? 1 : -1;
    if (depth === 0 && piece.start !== term.length - 1) return term;
  }
  return term.slice(1, -1).trim();
}

/** The opposite of a term. */
export function negated(term: string): string {
  const not = /^(?:[-!]|not\s+)/i.exec(term);
  return not ? term.slice(not[0].length) : `-${term}`;
}

/** A filter with a term more. One that says the opposite, or the same, goes. */
export function including(filter: string, term: string): string {
  const opposite = negated(term);
  const terms = split(filter).filter((t) => t !== opposite && t !== term);
  return joined([...terms, term]);
}

/** A filter with the opposite of a term more. */
export function excluding(filter: string, term: string): string {
  return including(filter, negated(term));
}
