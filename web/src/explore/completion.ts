// What the word under the caret could become: fields, then values of the field, with how many there are.

import { ask } from "../lib/api.ts";
import { FIELDS, pieces, quoted, split, joined } from "../lib/filter.ts";

export interface Offer {
  /** What takes the place of the word. */
  text: string;
  /** What is shown beside it. */
  about: string;
}

/** The word under the caret. */
export interface Word {
  start: number;
  end: number;
  /** The field before the colon, if there is one, and what is behind it. */
  field: string | undefined;
  typed: string;
}

const FIXED: Record<string, string[]> = {
  action: ["drop", "reject", "accept", "log"],
  proto: ["tcp", "udp", "icmp", "icmpv6", "gre", "esp"],
  flags: ["syn", "ack", "rst", "fin", "psh", "urg"],
};
const CLASSES = ["private", "public", "loopback", "linklocal", "multicast", "fleet"];

/** The word that the caret is in or at the end of. */
export function word(text: string, caret: number): Word {
  const all = pieces(text);
  const at = all.findIndex((p) => p.start < caret && caret <= p.start + p.text.length);
  const piece = all[at];
  if (!piece || piece.kind === "space" || piece.kind === "paren" || piece.kind === "not") {
    return { start: caret, end: caret, field: undefined, typed: "" };
  }
  if (piece.kind === "value" || piece.kind === "field") {
    const field = piece.kind === "field" ? piece : all[at - 1]!;
    const value = piece.kind === "value" ? piece : all[at + 1];
    const end = value?.kind === "value" && value.start === field.start + field.text.length ? value.start + value.text.length : field.start + field.text.length;
    const behind = field.start + field.text.length;
    const typed = caret > behind ? text.slice(behind, caret) : "";
    const list = typed.lastIndexOf(",") + 1;
    return { start: behind + list, end: list ? caret : end, field: field.text.slice(0, -1).toLowerCase(), typed: typed.slice(list) };
  }
  return { start: piece.start, end: piece.start + piece.text.length, field: undefined, typed: text.slice(piece.start, caret) };
}

/** Fields that begin as what was typed, those that are asked for most first. */
export function fields(typed: string): Offer[] {
  const wanted = typed.toLowerCase();
  return FIELDS.filter((f) => f.tables.includes("events") && f.name.startsWith(wanted))
    .slice(0, 12)
    .map((f) => ({ text: `${f.name}:`, about: f.about }));
}

/** Values of a field among rows that pass the other terms, with how many rows have them. */
export async function values(
  filter: string,
  word: Word,
  span: { since: string; until: string },
  signal: AbortSignal,
): Promise<Offer[]> {
  const field = FIELDS.find((f) => f.name === word.field);
  if (!field) return [];
  const typed = word.typed.replace(/^"/, "").toLowerCase();
  const begins = (value: string) => value.toLowerCase().includes(typed);
  const offers: Offer[] = [];
  if (field.kind === "addr") {
    offers.push(...CLASSES.filter((c) => typed !== "" && c.startsWith(typed)).map((c) => ({ text: c, about: "class of addresses" })));
    if (typed.startsWith("@")) {
      const sets = await ask<{ name: string; ranges: number }[]>("sets", undefined, signal);
      return sets.filter((s) => `@${s.name}`.startsWith(typed)).map((s) => ({ text: `@${s.name}`, about: `${s.ranges} ranges` }));
    }
  }
  if (field.kind === "group") {
    const groups = await ask<{ name: string }[]>("groups", undefined, signal);
    return groups.filter((g) => begins(g.name)).map((g) => ({ text: g.name, about: "group of hosts" }));
  }
  const others = joined(split(filter.slice(0, word.start).replace(/[^\s(]*$/, "") + filter.slice(word.end)));
  try {
    // what is typed narrows text on the server; numbers and addresses are few enough at the top
    const narrow = typed !== "" && field.kind === "text" ? `${field.name}:*${typed.replace(/[*?"\\()\s,]/g, "?")}*` : "";
    const asked = await ask<{ facets: { values: { value?: string | number; rows: number }[] }[] }>(
      "facets",
      { filter: [others.includes(" OR ") ? `(${others})` : others, narrow].filter(Boolean).join(" "), ...span, fields: [field.name], limit: 20 },
      signal,
    );
    for (const { value, rows } of asked.facets[0]?.values ?? []) {
      if (value === undefined || value === "") continue;
      const text = String(value);
      const plain = field.kind === "flags" ? text.toLowerCase() : text;
      if (begins(plain)) offers.push({ text: /^[\p{L}\p{N}_][\p{L}\p{N}_\-./:+%#,]*$/u.test(plain) ? plain : quoted(plain), about: rows.toLocaleString("en") });
    }
  } catch (error) {
    if (signal.aborted) throw error; // otherwise: the rest of the filter is not right yet, so nothing is known of values
  }
  for (const fixed of FIXED[field.name] ?? []) {
    if (begins(fixed) && !offers.some((o) => o.text === fixed)) offers.push({ text: fixed, about: "" });
  }
  return offers.slice(0, 20);
}
