// A packet's bytes as headers and fields, each with the bytes that it is. Total: any bytes give layers, and what cannot
// be told is left as data.

import { digits, hex, mac, Reader, v4, v6, type Layer } from "./bytes.ts";
import { ARP, ETHER_TYPES, PROTOCOLS } from "./names.ts";
import { transport } from "./transport.ts";

export { fromHex, type Field, type Layer } from "./bytes.ts";

/** Headers inside headers; a packet with more is not looked at further. */
const DEEPEST = 24;

/**
 * The layers of a packet. Captured bytes begin with the network header; of which kind, its EtherType tells, or the
 * version in its first byte. With `ethernet` they begin with the frame.
 */
export function decode(bytes: Uint8Array, etherType?: number, ethernet = false): Layer[] {
  const layers: Layer[] = [];
  const at = ethernet ? frame(bytes, layers) : network(bytes, 0, etherType ?? guess(bytes, 0), layers);
  if (at < bytes.length) layers.push({ name: "Data", fields: data(bytes, at), start: at, end: bytes.length });
  return layers;
}

function data(bytes: Uint8Array, at: number) {
  const shown = bytes.subarray(at, at + 16);
  const text = `${digits(shown, " ")}${bytes.length > at + 16 ? " …" : ""}`;
  return [{ name: `${bytes.length - at} bytes`, value: text, start: at, end: bytes.length }];
}

const guess = (bytes: Uint8Array, at: number) =>
  ({ 4: 0x0800, 6: 0x86dd })[(bytes[at] ?? 0) >> 4];

const etherName = (n: number) => `${hex(n, 4)}${ETHER_TYPES[n] ? ` ${ETHER_TYPES[n]}` : ""}`;

function frame(bytes: Uint8Array, layers: Layer[]): number {
  const r = new Reader(bytes, 0, "Ethernet");
  r.bytesOf("destination", 0, 6, mac);
  r.bytesOf("source", 6, 6, mac);
  let type = r.add("type", 12, 2, etherName);
  layers.push(r.layer);
  let at = 14;
  while ((type === 0x8100 || type === 0x88a8) && layers.length < DEEPEST) {
    const tag = new Reader(bytes, at, "VLAN");
    tag.add("id", 0, 2, (n) => String(n & 0xfff));
    tag.add("priority", 0, 1, (n) => String(n >> 5));
    type = tag.add("type", 2, 2, etherName);
    layers.push(tag.layer);
    at += 4;
  }
  return type === undefined ? bytes.length : network(bytes, at, type, layers);
}

function network(bytes: Uint8Array, at: number, type: number | undefined, layers: Layer[]): number {
  if (type === 0x0800) return ipv4(bytes, at, layers);
  if (type === 0x86dd) return ipv6(bytes, at, layers);
  return type === 0x0806 ? arp(bytes, at, layers) : at;
}

function arp(bytes: Uint8Array, at: number, layers: Layer[]): number {
  const r = new Reader(bytes, at, "ARP");
  r.add("hardware", 0, 2, (n) => (n === 1 ? "Ethernet" : String(n)));
  r.add("protocol", 2, 2, etherName);
  const hard = r.add("hardware length", 4, 1) ?? 0;
  const soft = r.add("protocol length", 5, 1) ?? 0;
  r.add("operation", 6, 2, (n) => `${n}${ARP[n] ? ` ${ARP[n]}` : ""}`);
  const address = soft === 4 ? v4 : digits;
  const places: [string, number, (b: Uint8Array) => string][] = [
    ["sender hardware", hard, mac], ["sender address", soft, address], ["target hardware", hard, mac], ["target address", soft, address],
  ];
  let from = 8;
  for (const [name, size, show] of places) {
    if (size > 0) r.bytesOf(name, from, size, show);
    from += size;
  }
  layers.push(r.layer);
  return Math.min(at + from, bytes.length);
}

const protocol = (n: number) => `${n}${PROTOCOLS[n] ? ` ${PROTOCOLS[n]}` : ""}`;

function fragment(n: number): string {
  const words = [n & 0x4000 ? "don't fragment" : "", n & 0x2000 ? "more fragments" : "", `offset ${(n & 0x1fff) * 8}`];
  return words.filter(Boolean).join(", ");
}

function ipv4(bytes: Uint8Array, at: number, layers: Layer[]): number {
  const r = new Reader(bytes, at, "IPv4");
  r.add("version", 0, 1, (n) => String(n >> 4));
  const first = r.add("header length", 0, 1, (n) => `${(n & 15) * 4} bytes`);
  const header = ((first ?? 0) & 15) * 4;
  if (header < 20 || first! >> 4 !== 4) return at;
  r.add("type of service", 1, 1, (n) => hex(n, 2));
  const total = r.add("total length", 2, 2);
  r.add("identification", 4, 2, (n) => hex(n, 4));
  const offset = r.add("fragment", 6, 2, fragment);
  r.add("time to live", 8, 1);
  const next = r.add("protocol", 9, 1, protocol);
  r.add("checksum", 10, 2, (n) => hex(n, 4));
  r.bytesOf("source", 12, 4, v4);
  r.bytesOf("destination", 16, 4, v4);
  if (header > 20) r.bytesOf("options", 20, header - 20, (b) => digits(b, " "));
  layers.push(r.layer);
  if (!r.whole || next === undefined) return bytes.length;
  // what is behind the packet's own length is padding of the frame
  const end = total !== undefined && total >= header ? Math.min(at + total, bytes.length) : bytes.length;
  return above(bytes.subarray(0, end), at + header, next, (offset! & 0x1fff) > 0, layers);
}

function ipv6(bytes: Uint8Array, at: number, layers: Layer[]): number {
  const r = new Reader(bytes, at, "IPv6");
  if (r.number(0, 1) === undefined || r.number(0, 1)! >> 4 !== 6) return at;
  r.add("version", 0, 1, (n) => String(n >> 4));
  r.add("traffic class", 0, 2, (n) => hex((n >> 4) & 0xff, 2));
  r.add("flow label", 1, 3, (n) => hex(n & 0xfffff, 5));
  const length = r.add("payload length", 4, 2);
  let next = r.add("next header", 6, 1, protocol);
  r.add("hop limit", 7, 1);
  r.bytesOf("source", 8, 16, v6);
  r.bytesOf("destination", 24, 16, v6);
  layers.push(r.layer);
  if (!r.whole || next === undefined) return bytes.length;
  const end = length ? Math.min(at + 40 + length, bytes.length) : bytes.length;
  const inside = bytes.subarray(0, end);
  let from = at + 40;
  let later = false;
  while (EXTENSIONS[next] !== undefined && layers.length < DEEPEST && from < end && !later) {
    const x: Reader = new Reader(inside, from, `IPv6 ${EXTENSIONS[next]}`);
    const after: number | undefined = x.add("next header", 0, 1, protocol);
    let size = 8;
    if (next === 44) {
      const at: number | undefined = x.add("fragment", 2, 2, (n) => `offset ${n & 0xfff8}${n & 1 ? ", more fragments" : ""}`);
      x.add("identification", 4, 4, (n) => hex(n, 8));
      later = ((at ?? 0) & 0xfff8) > 0;
    } else {
      const units = x.add("length", 1, 1, (n) => `${next === 51 ? (n + 2) * 4 : (n + 1) * 8} bytes`) ?? 0;
      size = next === 51 ? (units + 2) * 4 : (units + 1) * 8;
      if (size > 2) x.bytesOf("content", 2, size - 2, (b) => digits(b, " "));
    }
    layers.push(x.layer);
    from += size;
    if (!x.whole || after === undefined) return bytes.length;
    next = after;
  }
  return above(inside, from, next, later, layers);
}

const EXTENSIONS: Record<number, string> = { 0: "hop-by-hop", 43: "routing", 44: "fragment", 51: "authentication", 60: "destination options", 135: "mobility" };

/** What an IP packet carries. */
function above(bytes: Uint8Array, at: number, next: number, later: boolean, layers: Layer[]): number {
  if (later || at >= bytes.length || layers.length >= DEEPEST) return Math.min(at, bytes.length);
  if (next === 4) return ipv4(bytes, at, layers);
  if (next === 41) return ipv6(bytes, at, layers);
  const end = transport(bytes, at, next, layers);
  // an ICMP error quotes the packet that it is about
  if (end.quotes && end.at < bytes.length) return network(bytes, end.at, guess(bytes, end.at), layers);
  return end.at;
}
