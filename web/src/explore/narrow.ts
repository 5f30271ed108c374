// The term for "values of this field that begin with, or hold, what was typed", so that the server looks for them among
// all rows, and not the page among the few that it has.

import { FIELDS } from "../lib/filter.ts";

const MOST: Record<string, number> = { port: 65_535, asn: 4_294_967_295, number: 4_294_967_295 };

/** A term that finds those values; nothing, where values are so few that all can be asked for. */
export function narrowed(field: string, typed: string): string | undefined {
  const kind = FIELDS.find((f) => f.name === field)?.kind ?? "text";
  const text = typed.trim();
  if (kind === "proto" || kind === "flags") return undefined;
  if (kind === "text" || kind === "group") return `${field}:*${text.replace(/[^\p{L}\p{N}_\-./:]/gu, "?")}*`;
  const ranges = kind === "addr" ? addresses(text.toLowerCase()) : numbers(text.replace(/^as/i, ""), MOST[kind] ?? 0);
  // what is no beginning of an address or number may be a network, a class, a set or a service: the server knows
  return `${field}:${ranges.length ? ranges.join() : text.replace(/[\s()"]/g, "")}`;
}

const range = (low: string, high: string) => (low === high ? low : `${low}-${high}`);

/** Ranges of the numbers whose digits begin as typed. */
function numbers(text: string, most: number): string[] {
  if (!/^\d{1,10}$/.test(text) || (text.length > 1 && text[0] === "0")) return [];
  const out: string[] = [];
  for (let wide = 1, n = Number(text); n * wide <= most; wide *= 10) {
    out.push(range(String(n * wide), String(Math.min(most, n * wide + wide - 1))));
    if (n === 0) break;
  }
  return out;
}

/** Ranges of the addresses that are written with what was typed first. */
function addresses(text: string): string[] {
  return [...v4(text), ...v6(text)];
}

function v4(text: string): string[] {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}\.?$/.test(text)) return [];
  const parts = text.split(".");
  const last = parts.pop()!;
  if (parts.length > 3 || parts.some((part) => Number(part) > 255)) return [];
  const between = (low: string, high: string) => {
    const fill = (own: string, rest: string) => [...parts, own, rest, rest, rest].slice(0, 4).join(".");
    return range(fill(low, "0"), fill(high, "255"));
  };
  if (last === "") return [between("0", "255")];
  return numbers(last, 255).map((r) => between(r.split("-")[0]!, r.split("-").at(-1)!));
}

function v6(text: string): string[] {
  const clean = text.replace(/::$/, ":");
  if (!/^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,7}:?$/.test(clean)) return [];
  const parts = clean.split(":");
  const last = parts.pop()!;
  if (parts.length > 7) return [];
  const between = (low: number, high: number) => {
    const fill = (own: number, rest: string) => [...parts, own.toString(16), ...new Array<string>(8).fill(rest)].slice(0, 8).join(":");
    return range(fill(low, "0"), fill(high, "ffff"));
  };
  if (last === "") return [between(0, 0xffff)];
  const out: string[] = [];
  for (let wide = 1, n = Number.parseInt(last, 16); n * wide <= 0xffff; wide *= 16) {
    out.push(between(n * wide, n * wide + wide - 1));
    if (n === 0) break;
  }
  return out;
}
