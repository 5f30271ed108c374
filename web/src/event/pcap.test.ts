// What reads captures everywhere says what is in ours.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Row } from "../lib/api.ts";
import { pcap } from "./pcap.ts";

/** Fields of the one packet of a file, as tshark reads them. */
function read(row: Row, ...fields: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "pcap-"));
  try {
    const file = join(folder, "one.pcap");
    writeFileSync(file, pcap(row)!);
    const args = ["-n", "-r", file, "-T", "fields", "-E", "separator=|", ...fields.flatMap((field) => ["-e", field])];
    const lines = execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim().split("\n");
    expect(lines).toHaveLength(1);
    return lines[0]!.split("|");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const SYN =
  "450000640001400034060000cb007109c6336402" + // 203.0.113.9 to 198.51.100.2, 100 bytes long
  "9c40001600000001000000005002faf000000000"; // 40000 to 22, of which the header was kept
const TIME = "2026-03-01T12:00:00.123456Z";

test("a packet of IPv4, cut behind its headers", { timeout: 60_000 }, () => {
  const row = { time: TIME, payload: SYN, ether_type: 0x0800, length: 100 };
  const fields = ["frame.encap_type", "frame.time_epoch", "frame.len", "frame.cap_len", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport"];
  const [encapsulated, time, ...rest] = read(row, ...fields);
  expect(encapsulated).toBe("7"); // raw IP
  expect(Number(time)).toBeCloseTo(Date.parse("2026-03-01T12:00:00Z") / 1000 + 0.123456, 6);
  expect(rest).toEqual(["100", "40", "203.0.113.9", "198.51.100.2", "40000", "22"]);
});

test("a packet of IPv6, by its version alone", { timeout: 60_000 }, () => {
  const header = "6000000000083a40" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002";
  const echo = "8000000000010001";
  const row = { time: "2026-03-01T12:00:00Z", payload: header + echo, length: 48 };
  expect(read(row, "frame.len", "ipv6.src", "ipv6.dst", "icmpv6.type")).toEqual(["48", "2001:db8::1", "2001:db8::2", "128"]);
});

test("what is not IP gets the frame that it came in", { timeout: 60_000 }, () => {
  const arp = "0001080006040001" + "525400000002c0000201" + "000000000000c0000202";
  const row = { time: TIME, payload: arp, ether_type: 0x0806, mac_src: "52:54:00:00:00:02", mac_dst: "ff:ff:ff:ff:ff:ff" };
  const fields = ["frame.encap_type", "eth.src", "eth.dst", "arp.src.proto_ipv4", "arp.dst.proto_ipv4"];
  expect(read(row, ...fields)).toEqual(["1", "52:54:00:00:00:02", "ff:ff:ff:ff:ff:ff", "192.0.2.1", "192.0.2.2"]);
});

test("bytes that nobody can name are said to be that, and no bytes are no file", () => {
  const link = (row: Row) => new DataView(pcap(row)!.buffer).getUint32(20, true);
  expect(link({ time: TIME, payload: "00ff" })).toBe(147);
  expect(link({ time: TIME, payload: "60", ether_type: 0x0800 })).toBe(147);
  expect(pcap({ time: TIME, payload: "" })).toBeUndefined();
  expect(pcap({ time: TIME })).toBeUndefined();
});
