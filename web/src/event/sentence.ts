// One event in one sentence. What a row does not have is left out; nothing is guessed.

import type { Row } from "../lib/api.ts";
import { count } from "../lib/format.ts";
import { ARP, ETHER_TYPES, icmpCode, icmpType, service } from "./names.ts";

const VERBS: Record<string, string> = { drop: "dropped", reject: "rejected", accept: "accepted", log: "logged" };

/** The row in words: who did what to which packet, from where to where, and by which way. */
export function sentence(row: Row): string {
  const who = text(row, "host") ?? "A host";
  const verb = VERBS[text(row, "action") ?? "log"] ?? `logged (${text(row, "action")})`;
  const what = packet(row);
  const n = number(row, "packets") ?? 1;
  const words = [who, verb, n > 1 ? `${count(n)} ${plural(what)}` : `${article(what)} ${what}`];
  const arp = isArp(row);
  words.push(...side(row, "from", "src", "sport"), ...side(row, arp ? "about" : "to", "dst", "dport"));
  if (!row["src"] && !row["dst"]) words.push(...hardware(row));
  let out = words.join(" ");
  if (number(row, "vlan") !== undefined) out += ` in VLAN ${number(row, "vlan")}`;
  const way = path(row);
  if (way) out += `, ${way}`;
  const inner = quoted(row);
  if (inner) out += `, about ${inner}`;
  if (number(row, "uid") !== undefined) out += `, of user ${number(row, "uid")}`;
  return out;
}

function text(row: Row, name: string): string | undefined {
  const value = row[name];
  return value === undefined || value === null || value === "" ? undefined : String(value);
}

function number(row: Row, name: string): number | undefined {
  const value = row[name];
  return typeof value === "number" ? value : undefined;
}

const isArp = (row: Row) => row["family"] === "arp" || row["ether_type"] === 0x0806;

/** What kind of packet it is, without an article. */
function packet(row: Row): string {
  const proto = text(row, "proto");
  if (isArp(row)) return `ARP ${ARP[number(row, "icmp_type") ?? 0] ?? "packet"}`;
  if (proto === "tcp") return tcp(text(row, "tcp_flags"));
  if (proto === "icmp" || proto === "icmpv6") return icmp(row, proto === "icmpv6");
  if (proto) return `${protocol(proto)} ${fragment(row)}`;
  const type = number(row, "ether_type");
  if (text(row, "src")) return `IP ${fragment(row)}`;
  if (type !== undefined) return `${ETHER_TYPES[type] ?? `0x${type.toString(16).padStart(4, "0")}`} frame`;
  return "packet";
}

function protocol(name: string): string {
  return /^\d+$/.test(name) ? `IP protocol ${name}` : name === "icmpv6" ? "ICMPv6" : name.toUpperCase();
}

const fragment = (row: Row) => (((number(row, "frag") ?? 0) & 0x1fff) > 0 ? "fragment" : "packet");

function tcp(flags: string | undefined): string {
  if (flags === "SYN" || flags === "RST") return `TCP ${flags}`;
  if (flags === "SYN,ACK") return "TCP SYN-ACK";
  if (flags === "NONE") return "TCP packet without flags";
  return flags ? `TCP packet (${flags.split(",").join(" ")})` : "TCP packet";
}

function icmp(row: Row, six: boolean): string {
  const name = six ? "ICMPv6" : "ICMP";
  const type = number(row, "icmp_type");
  if (type === undefined) return `${name} ${fragment(row)}`;
  const code = number(row, "icmp_code") ?? 0;
  const what = icmpType(six, type) ?? `type ${type}`;
  const why = icmpCode(six, type, code) ?? (code > 0 ? `code ${code}` : undefined);
  return `${name} ${what}${why ? ` (${why})` : ""}`;
}

/** An address with what it belongs to, and its port. */
function side(row: Row, word: string, addr: "src" | "dst", port: "sport" | "dport"): string[] {
  const at = text(row, addr);
  const p = number(row, port);
  if (at === undefined) return p === undefined ? [] : [word, "port", named(p, port)];
  const asn = number(row, `${addr}_asn`);
  const country = text(row, `${addr}_country`);
  const of = [asn === undefined ? undefined : `AS${asn}`, country].filter((part) => part !== undefined);
  const out = [word, of.length ? `${at} (${of.join(", ")})` : at];
  if (p !== undefined) out.push("port", named(p, port));
  return out;
}

function named(port: number, column: "sport" | "dport"): string {
  const name = column === "dport" ? service(port) : undefined;
  return name ? `${port} (${name})` : String(port);
}

function hardware(row: Row): string[] {
  const [from, to] = [text(row, "mac_src"), text(row, "mac_dst")];
  return [...(from ? ["from", from] : []), ...(to ? ["to", to] : [])];
}

/** The interfaces that it came by and would have left by. */
function path(row: Row): string | undefined {
  const by = (name: string, port: string) => {
    const [iface, phys] = [text(row, name), text(row, port)];
    return iface && phys && phys !== iface ? `${iface} (port ${phys})` : (iface ?? phys);
  };
  const [from, to] = [by("in_if", "phys_in"), by("out_if", "phys_out")];
  if (from && to) return `on its way from ${from} to ${to}`;
  if (from) return `arriving at ${from}`;
  return to ? `leaving by ${to}` : undefined;
}

/** The packet that an ICMP error quotes. */
function quoted(row: Row): string | undefined {
  const [src, dst, proto] = [text(row, "inner_src"), text(row, "inner_dst"), text(row, "inner_proto")];
  if (!src && !dst) return undefined;
  const inner = { src, dst, sport: row["inner_sport"], dport: row["inner_dport"] } satisfies Row;
  const what = proto ? `${protocol(proto)} packet` : "packet";
  return [article(what), what, ...side(inner, "from", "src", "sport"), ...side(inner, "to", "dst", "dport")].join(" ");
}

/** "a" or "an", by how the first word is spoken: letters one by one, for most. */
const article = (what: string) => (/^([AEIO]|SCTP|LLDP|MPLS|RSVP)/.test(what) ? "an" : "a");

/** Several of what a row stands for. */
function plural(what: string): string {
  const [, head = what, tail = ""] = /^(.*?)( \(.*\)| without flags)?$/.exec(what) ?? [];
  return `equal ${/(packet|frame|fragment)$/.test(head) ? `${head}s` : `${head} packets`}${tail}`;
}
