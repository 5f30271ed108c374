import { describe, expect, test } from "vitest";
import { v6 } from "./bytes.ts";
import { decode, fromHex, type Layer } from "./decode.ts";

const told = (layers: Layer[]) => layers.map((l) => l.name);
const value = (layers: Layer[], layer: string, field: string) =>
  layers.find((l) => l.name === layer)?.fields.find((f) => f.name === field)?.value;

const SYN = "4500003c1c4640004006b1e6c0a80068c0a80001" + "9d690016" + "1c1a0e40" + "00000000" + "a002faf0" + "1c6e0000" + "020405b40402080a0012d6870000000001030307";
const ECHO6 = "6001020300103a40" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "8000abcd00010002" + "4142434445464748";
const UNREACHABLE = "45c0005800004000400100000a0000090a000001" + "0303fcfc00000000" + "4500001d0001400040110000" + "0a0000010a000009" + "138800350009abcd" + "41";
const ARP = "0001080006040001" + "020000000001" + "0a000001" + "000000000000" + "0a000002";

describe("headers", () => {
  test("of TCP with options", () => {
    const layers = decode(fromHex(SYN));
    expect(told(layers)).toEqual(["IPv4", "TCP"]);
    expect(value(layers, "IPv4", "source")).toBe("192.168.0.104");
    expect(value(layers, "IPv4", "fragment")).toBe("don't fragment, offset 0");
    expect(value(layers, "TCP", "destination port")).toBe("22 (ssh)");
    expect(value(layers, "TCP", "flags")).toBe("SYN");
    expect(value(layers, "TCP", "option maximum segment")).toBe("1460");
    expect(value(layers, "TCP", "option timestamps")).toBe("1234567, echo 0");
    expect(value(layers, "TCP", "option window scale")).toBe("7 (times 128)");
    const port = layers[1]!.fields.find((f) => f.name === "destination port")!;
    expect([port.start, port.end]).toEqual([22, 24]);
  });

  test("of ICMPv6", () => {
    const layers = decode(fromHex(ECHO6));
    expect(told(layers)).toEqual(["IPv6", "ICMPv6", "Data"]);
    expect(value(layers, "IPv6", "flow label")).toBe("0x10203");
    expect(value(layers, "IPv6", "destination")).toBe("2001:db8::2");
    expect(value(layers, "ICMPv6", "type")).toBe("128 echo request");
    expect(value(layers, "Data", "8 bytes")).toBe("41 42 43 44 45 46 47 48");
  });

  test("of a packet inside an ICMP error", () => {
    const layers = decode(fromHex(UNREACHABLE));
    expect(told(layers)).toEqual(["IPv4", "ICMP", "IPv4", "UDP", "Data"]);
    expect(value(layers, "ICMP", "code")).toBe("3 port unreachable");
    expect(value(layers, "UDP", "destination port")).toBe("53 (domain)");
  });

  test("of ARP, with and without its frame", () => {
    expect(value(decode(fromHex(ARP), 0x0806), "ARP", "sender address")).toBe("10.0.0.1");
    const layers = decode(fromHex(`ffffffffffff0200000000018100200c0806${ARP}`), undefined, true);
    expect(told(layers)).toEqual(["Ethernet", "VLAN", "ARP"]);
    expect(value(layers, "VLAN", "id")).toBe("12");
    expect(value(layers, "ARP", "target address")).toBe("10.0.0.2");
  });

  test("of IPv6 extensions and a later fragment", () => {
    const base = "60000000001c2c4020010db800000000000000000000000120010db8000000000000000000000002";
    expect(told(decode(fromHex(`${base}1100000900000001${"00".repeat(20)}`)))).toEqual(["IPv6", "IPv6 fragment", "Data"]);
    expect(told(decode(fromHex(`${base}1100000100000001${"00".repeat(20)}`)))).toEqual(["IPv6", "IPv6 fragment", "UDP", "Data"]);
  });

  test("padding of a frame is data", () => {
    const udp = `4500001c000000004011000001020304050607080035003500080000${"00".repeat(18)}`;
    expect(told(decode(fromHex(udp)))).toEqual(["IPv4", "UDP", "Data"]);
  });
});

test("addresses are written short", () => {
  const addresses = ["::", "::1", "1::", "2001:db8::1:0:0:1", "2001:0:0:1::1", "1:2:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"];
  for (const [i, digits] of [
    "0".repeat(32), `${"0".repeat(31)}1`, `0001${"0".repeat(28)}`, "20010db8000000000001000000000001",
    "20010000000000010000000000000001", "00010002000300040005000600070008", "00010000000300040005000600070008",
  ].entries()) {
    expect(v6(fromHex(digits))).toBe(addresses[i]);
  }
});

test("digits that are none end the bytes", () => {
  expect([...fromHex("0aFFzz11")]).toEqual([10, 255]);
  expect([...fromHex("abc")]).toEqual([0xab]);
});

test("any bytes give layers, and every field is inside them", () => {
  let seed = 42;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const seeds = [SYN, ECHO6, UNREACHABLE, ARP].map(fromHex);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(seeds[random(4)]!).subarray(0, random(100));
    for (let n = random(6); n > 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
    const type = [undefined, 0x0800, 0x86dd, 0x0806, 0x1234][random(5)];
    const layers = decode(bytes, type, random(4) === 0);
    for (const layer of layers) {
      for (const field of [layer, ...layer.fields]) {
        expect(field.start >= 0 && field.start <= field.end && field.end <= bytes.length).toBe(true);
      }
    }
  }
});
