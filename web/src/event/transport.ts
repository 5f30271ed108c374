// Headers above IP: TCP with its options, UDP, ICMP.

import { digits, hex, Reader, type Layer } from "./bytes.ts";
import { icmpCode, icmpType, service, TCP_FLAGS } from "./names.ts";

/** Where the header ends, and whether what follows is the packet that an ICMP error quotes. */
export interface Above {
  at: number;
  quotes: boolean;
}

/** Reads the header of a protocol; one that is not known is left as it is. */
export function transport(bytes: Uint8Array, at: number, protocol: number, layers: Layer[]): Above {
  if (protocol === 6) return { at: tcp(bytes, at, layers), quotes: false };
  if (protocol === 17 || protocol === 136) return { at: udp(bytes, at, layers, protocol === 136), quotes: false };
  if (protocol === 1 || protocol === 58) return icmp(bytes, at, layers, protocol === 58);
  return { at, quotes: false };
}

const port = (n: number) => `${n}${service(n) ? ` (${service(n)})` : ""}`;

/** Flags as words, from the lowest bit. */
export const flags = (bits: number): string =>
  TCP_FLAGS.filter((_, i) => bits & (1 << i)).join(" ") || "none";

function tcp(bytes: Uint8Array, at: number, layers: Layer[]): number {
  const r = new Reader(bytes, at, "TCP");
  r.add("source port", 0, 2, port);
  r.add("destination port", 2, 2, port);
  r.add("sequence", 4, 4);
  r.add("acknowledgement", 8, 4);
  const first = r.add("header length", 12, 1, (n) => `${(n >> 4) * 4} bytes`);
  r.add("flags", 12, 2, (n) => flags(n & 0x1ff));
  r.add("window", 14, 2);
  r.add("checksum", 16, 2, (n) => hex(n, 4));
  r.add("urgent pointer", 18, 2);
  const header = first === undefined ? 20 : Math.max(20, (first >> 4) * 4);
  options(r, header);
  layers.push(r.layer);
  return Math.min(at + header, bytes.length);
}

const OPTIONS: Record<number, string> = { 2: "maximum segment", 3: "window scale", 4: "SACK permitted", 5: "SACK", 8: "timestamps", 34: "fast open" };

function options(r: Reader, header: number): void {
  let at = 20;
  while (at < header) {
    const kind = r.number(at, 1);
    if (kind === undefined || kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    const size = r.number(at + 1, 1);
    if (size === undefined || size < 2 || at + size > header) return;
    const name = `option ${OPTIONS[kind] ?? kind}`;
    const n = (from: number, bytes: number) => r.number(at + from, bytes) ?? 0;
    if (kind === 2 && size === 4) r.put(name, at, size, String(n(2, 2)));
    else if (kind === 3 && size === 3) r.put(name, at, size, `${n(2, 1)} (times ${2 ** Math.min(n(2, 1), 14)})`);
    else if (kind === 8 && size === 10) r.put(name, at, size, `${n(2, 4)}, echo ${n(6, 4)}`);
    else if (size === 2) r.put(name, at, size, "yes");
    else r.bytesOf(name, at, size, (b) => digits(b.subarray(2), " "));
    at += size;
  }
}

function udp(bytes: Uint8Array, at: number, layers: Layer[], lite: boolean): number {
  const r = new Reader(bytes, at, lite ? "UDP-Lite" : "UDP");
  r.add("source port", 0, 2, port);
  r.add("destination port", 2, 2, port);
  r.add(lite ? "coverage" : "length", 4, 2);
  r.add("checksum", 6, 2, (n) => hex(n, 4));
  layers.push(r.layer);
  return Math.min(at + 8, bytes.length);
}

function icmp(bytes: Uint8Array, at: number, layers: Layer[], six: boolean): Above {
  const r = new Reader(bytes, at, six ? "ICMPv6" : "ICMP");
  const type = r.add("type", 0, 1, (n) => `${n}${icmpType(six, n) ? ` ${icmpType(six, n)}` : ""}`) ?? -1;
  r.add("code", 1, 1, (n) => `${n}${icmpCode(six, type, n) ? ` ${icmpCode(six, type, n)}` : ""}`);
  r.add("checksum", 2, 2, (n) => hex(n, 4));
  const error = six ? type >= 1 && type <= 4 : [3, 4, 5, 11, 12].includes(type);
  const echo = six ? type === 128 || type === 129 : type === 0 || type === 8;
  if (echo) {
    r.add("identifier", 4, 2);
    r.add("sequence", 6, 2);
  } else if (six && type === 2) r.add("MTU", 4, 4);
  else if (!six && type === 3) r.add("next hop MTU", 6, 2);
  else r.add("rest of header", 4, 4, (n) => hex(n, 8));
  layers.push(r.layer);
  return { at: Math.min(at + 8, bytes.length), quotes: error };
}
