// Bytes of a packet, read without ever failing: what is not there is not read.

/** A field of a header: its bytes are [start, end) of the packet. */
export interface Field {
  name: string;
  value: string;
  start: number;
  end: number;
}

/** A header with its fields, or what follows the last one. */
export interface Layer {
  name: string;
  fields: Field[];
  start: number;
  end: number;
}

/** Reads one header from a place on; fields that the bytes end before are left out. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly layer: Layer;
  #cut = false;

  constructor(bytes: Uint8Array, start: number, name: string) {
    this.bytes = bytes;
    this.start = start;
    this.layer = { name, fields: [], start, end: start };
  }

  /** Whether all that was asked for was there. */
  get whole(): boolean {
    return !this.#cut;
  }

  /** A number in network order, `size` bytes at `at` of this header; nothing, where the bytes end. */
  number(at: number, size: number): number | undefined {
    const from = this.start + at;
    if (from + size > this.bytes.length) return undefined;
    let n = 0;
    for (let i = from; i < from + size; i++) n = n * 256 + this.bytes[i]!;
    return n;
  }

  /** Adds a field of the number at a place, as `show` writes it. */
  add(name: string, at: number, size: number, show: (n: number) => string = String): number | undefined {
    const n = this.number(at, size);
    if (n !== undefined) this.put(name, at, size, show(n));
    else this.#cut = true;
    return n;
  }

  /** Adds a field of any text. */
  put(name: string, at: number, size: number, value: string): void {
    const end = Math.min(this.start + at + size, this.bytes.length);
    this.layer.fields.push({ name, value, start: this.start + at, end });
    this.layer.end = Math.max(this.layer.end, end);
  }

  /** Adds a field of bytes as `show` writes them. */
  bytesOf(name: string, at: number, size: number, show: (bytes: Uint8Array) => string): void {
    const from = this.start + at;
    if (from + size > this.bytes.length) this.#cut = true;
    else this.put(name, at, size, show(this.bytes.subarray(from, from + size)));
  }
}

export const hex = (n: number, digits: number): string => `0x${n.toString(16).padStart(digits, "0")}`;

/** Bytes as digits, two each. */
export const digits = (bytes: Uint8Array, between = ""): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(between);

export const mac = (bytes: Uint8Array): string => digits(bytes, ":");
export const v4 = (bytes: Uint8Array): string => bytes.join(".");

/** An IPv6 address as RFC 5952 writes it. */
export function v6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let [best, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > length) [best, length] = [i, n];
  }
  const text = (part: number[]) => part.map((g) => g.toString(16)).join(":");
  return best < 0 ? text(groups) : `${text(groups.slice(0, best))}::${text(groups.slice(best + length))}`;
}

/** The bytes of digits; what is no pair of digits ends them. */
export function fromHex(text: string): Uint8Array {
  const pairs = /^(?:[0-9a-f]{2})*/i.exec(text)![0];
  return Uint8Array.from({ length: pairs.length / 2 }, (_, i) => Number.parseInt(pairs.slice(2 * i, 2 * i + 2), 16));
}
