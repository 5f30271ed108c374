// What the columns of a row say of a packet of which no bytes were kept, in the order of its headers.

import type { Row } from "../lib/api.ts";
import { hex } from "./bytes.ts";
import { ARP, ETHER_TYPES, icmpCode, icmpType, service } from "./names.ts";

/** A field with the column that it is of. */
export interface Told {
  name: string;
  value: string;
  column: string;
}

type Show = (value: unknown, row: Row) => string;

const text: Show = String;
const port: Show = (v) => (service(Number(v)) ? `${v} (${service(Number(v))})` : String(v));
const six = (row: Row) => row["proto"] === "icmpv6";
const type: Show = (v, row) => {
  const n = Number(v);
  const name = row["family"] === "arp" || row["ether_type"] === 0x0806 ? ARP[n] : icmpType(six(row), n);
  return name ? `${n} ${name}` : String(n);
};
const code: Show = (v, row) => {
  const name = icmpCode(six(row), Number(row["icmp_type"] ?? -1), Number(v));
  return name ? `${v} ${name}` : String(v);
};
const ether: Show = (v) => `${hex(Number(v), 4)}${ETHER_TYPES[Number(v)] ? ` ${ETHER_TYPES[Number(v)]}` : ""}`;
const frag: Show = (v) => {
  const n = Number(v);
  const words = [n & 0x4000 ? "don't fragment" : "", n & 0x2000 ? "more fragments" : "", n & 0x1fff ? `offset ${(n & 0x1fff) * 8}` : ""];
  return words.filter(Boolean).join(", ");
};

const HEADERS: [string, [string, string, Show?][]][] = [
  ["Path", [["in_if", "in"], ["phys_in", "bridge port in"], ["out_if", "out"], ["phys_out", "bridge port out"], ["hook", "hook"], ["family", "family"], ["ct_state", "conntrack"], ["mark", "mark", (v) => hex(Number(v), 1)], ["uid", "user"], ["gid", "group"], ["zones", "zones"]]],
  ["Ethernet", [["mac_src", "source"], ["mac_dst", "destination"], ["ether_type", "type", ether], ["vlan", "VLAN"]]],
  ["Network", [["src", "source"], ["dst", "destination"], ["proto", "protocol"], ["length", "length"], ["ttl", "time to live"], ["tos", "type of service", (v) => hex(Number(v), 2)], ["ip_id", "identification", (v) => hex(Number(v), 4)], ["frag", "fragment", frag]]],
  ["Transport", [["sport", "source port", port], ["dport", "destination port", port], ["tcp_flags", "flags", (v) => String(v).replaceAll(",", " ")], ["tcp_seq", "sequence"], ["tcp_ack", "acknowledgement"], ["tcp_window", "window"], ["icmp_type", "type", type], ["icmp_code", "code", code]]],
  ["Quoted packet", [["inner_proto", "protocol"], ["inner_src", "source"], ["inner_dst", "destination"], ["inner_sport", "source port", port], ["inner_dport", "destination port", port]]],
];

/** The headers that a row has something of. */
export function told(row: Row): { name: string; fields: Told[] }[] {
  return HEADERS.map(([name, columns]) => ({
    name,
    fields: columns
      .filter(([column]) => row[column] !== undefined && row[column] !== null && row[column] !== "")
      .map(([column, title, show = text]) => ({ name: title, value: show(row[column], row), column })),
  })).filter((header) => header.fields.length > 0);
}
