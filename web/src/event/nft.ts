// A rule for nft that matches packets like that of an event. What goes into it is checked by its shape: it will be
// pasted into a shell.

import type { Row } from "../lib/api.ts";
import { PROTOCOLS } from "./names.ts";

const V4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const V6 = /^(?=.*:)[0-9a-f:.]{2,45}$/i;

/** The rule, as it is written behind `nft add rule inet filter input`; nothing, if the row names no source or port. */
export function nftRule(row: Row, verdict: "drop" | "accept" = "drop"): string | undefined {
  const src = typeof row["src"] === "string" ? row["src"] : "";
  if (row["family"] === "arp") return V4.test(src) ? `arp saddr ip ${src} ${verdict}` : undefined;
  const parts: string[] = [];
  const six = V6.test(src);
  if (V4.test(src)) parts.push(`ip saddr ${src}`);
  else if (six) parts.push(`ip6 saddr ${src}`);
  const proto = String(row["proto"] ?? "");
  const port = whole(row["dport"], 65535);
  const type = whole(row["icmp_type"], 255);
  if (/^(tcp|udp|udplite|sctp|dccp)$/.test(proto)) parts.push(port === undefined ? `meta l4proto ${proto}` : `${proto} dport ${port}`);
  else if ((proto === "icmp" || proto === "icmpv6") && type !== undefined) parts.push(`${proto} type ${type}`);
  else {
    const number = /^\d{1,3}$/.test(proto) ? proto : Object.keys(PROTOCOLS).find((n) => PROTOCOLS[Number(n)] === proto);
    if (number !== undefined) parts.push(`meta l4proto ${number}`);
  }
  return parts.length ? `${parts.join(" ")} ${verdict}` : undefined;
}

function whole(value: unknown, most: number): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most ? value : undefined;
}
