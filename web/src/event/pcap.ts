// The kept bytes of one packet as a capture file (pcap, version 2.4), which any reader of packets opens.

import type { Row } from "../lib/api.ts";
import { micros } from "../lib/micros.ts";
import { fromHex } from "./bytes.ts";

/** What the bytes begin with, by the numbers of tcpdump.org/linktypes.html. */
const ETHERNET = 1;
const IP = 101;
/** Nobody says what they begin with. */
const UNKNOWN = 147;

const LARGEST = 262_144;

/** A frame around a packet that no link type of its own exists for: ARP, mostly. Addresses that were not kept are nought. */
function framed(row: Row, etherType: number, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + packet.length);
  const address = (column: string) => fromHex(String(row[column] ?? "").replace(/:/g, "")).subarray(0, 6);
  frame.set(address("mac_dst"), 0);
  frame.set(address("mac_src"), 6);
  new DataView(frame.buffer).setUint16(12, etherType);
  frame.set(packet, 14);
  return frame;
}

/** The file; nothing, where no bytes were kept. */
export function pcap(row: Row): Uint8Array<ArrayBuffer> | undefined {
  const kept = typeof row["payload"] === "string" ? fromHex(row["payload"]) : new Uint8Array();
  if (kept.length === 0) return undefined;
  // bytes are kept from the network header on, so the first one has the version
  const version = kept[0]! >> 4;
  const etherType = Number(row["ether_type"] ?? 0);
  const ip = (version === 4 && (etherType === 0 || etherType === 0x0800)) || (version === 6 && (etherType === 0 || etherType === 0x86dd));
  const other = !ip && etherType > 0 && etherType !== 0x0800 && etherType !== 0x86dd;
  const bytes = other ? framed(row, etherType, kept) : kept;
  // how long the packet was, of which the first bytes were kept
  const length = ip ? Math.max(Number(row["length"] ?? 0), bytes.length) : bytes.length;
  const time = micros(String(row["time"]));

  const file = new Uint8Array(24 + 16 + bytes.length);
  const view = new DataView(file.buffer);
  const words = [0xa1b2c3d4, 0x0004_0002, 0, 0, LARGEST, ip ? IP : other ? ETHERNET : UNKNOWN];
  const head = [Math.floor(time / 1e6), time % 1e6, bytes.length, length];
  [...words, ...head].forEach((word, at) => view.setUint32(4 * at, word, true));
  file.set(bytes, 40);
  return file;
}
