// What can be done with the value of a cell.

import type { Row } from "../lib/api.ts";
import { fieldOf, term } from "../lib/filter.ts";
import { cell } from "../lib/format.ts";
import { network } from "../lib/sets.ts";

/** One thing to do: a term to add, a text to copy, or an address to put into a set. */
export interface Deed {
  name: string;
  /** Takes the place of the whole filter, is added, or is left out. */
  how: "replace" | "include" | "exclude" | "copy" | "set";
  text: string;
}

const ADDRESS = new Set(["src", "dst"]);
const PORT = new Set(["sport", "dport"]);

/** The term that finds rows with the same value in a column. */
export function same(row: Row, column: string): string | undefined {
  const field = fieldOf(column);
  const value = row[column];
  return field === undefined || typeof value === "boolean" ? undefined : term(field, value);
}

/** Everything that the menu of a cell offers, beyond include and exclude. */
export function deeds(row: Row, column: string): Deed[] {
  const value = row[column];
  const own = same(row, column);
  const out: Deed[] = [];
  const field = fieldOf(column);
  if (own !== undefined) {
    out.push({ name: `only this: ${own}`, how: "replace", text: own });
    if (value !== undefined && field) out.push({ name: `any ${field}`, how: "include", text: `${field}:*` });
  }
  if (ADDRESS.has(column) && typeof value === "string") {
    const net = network(value);
    out.push({ name: "either side", how: "include", text: `ip:${value}` });
    out.push({ name: `network ${net}`, how: "include", text: `${column}:${net}` });
    out.push({ name: `without network ${net}`, how: "exclude", text: `${column}:${net}` });
    const asn = row[`${column}_asn`];
    const country = row[`${column}_country`];
    if (asn) out.push({ name: `AS${asn}`, how: "include", text: `${column}.asn:AS${asn}` });
    if (asn) out.push({ name: `without AS${asn}`, how: "exclude", text: `${column}.asn:AS${asn}` });
    if (country) out.push({ name: `country ${country}`, how: "include", text: term(`${column}.country`, country as string) });
    if (country) out.push({ name: `without country ${country}`, how: "exclude", text: term(`${column}.country`, country as string) });
  }
  if (PORT.has(column) && typeof value === "number") out.push({ name: "either side", how: "include", text: `port:${value}` });
  if (ADDRESS.has(column) && typeof value === "string") out.push({ name: "add to a set…", how: "set", text: value });
  if (value !== undefined && value !== null) out.push({ name: "copy value", how: "copy", text: String(value) });
  return out.map((deed) => ({ ...deed, name: cell(deed.name, 90) }));
}
