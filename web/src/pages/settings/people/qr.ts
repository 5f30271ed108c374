// A text as a QR code (ISO/IEC 18004): bytes, error correction M, versions 1 to 10, which is 213 bytes. Enough for the
// address of a second factor, and small enough to be read through.

/** Codewords in all, blocks, and codewords of correction in each block, by version. */
const SIZES = [[26, 1, 10], [44, 1, 16], [70, 1, 26], [100, 2, 18], [134, 2, 24], [172, 4, 16], [196, 4, 18], [242, 4, 22], [292, 5, 22], [346, 5, 26]] as const;
/** Centres of alignment patterns beside 6, by version. */
const CENTRES = [[], [18], [22], [26], [30], [34], [22, 38], [24, 42], [26, 46], [28, 50]];

/** Rows of modules, dark ones true; nothing, where the text is too long. */
export function qr(text: string): boolean[][] | undefined {
  const bytes = new TextEncoder().encode(text);
  const version = 1 + SIZES.findIndex(([all, blocks, correction], at) => bytes.length + (at < 9 ? 2 : 3) <= all - blocks * correction);
  if (version === 0) return undefined;
  const bits = interleaved(words(bytes, version), version);
  const size = 17 + 4 * version;
  const best = { score: Infinity, modules: [] as boolean[][] };
  for (let mask = 0; mask < 8; mask++) {
    const modules = drawn(size, version, bits, mask);
    const score = penalty(modules);
    if (score < best.score) Object.assign(best, { score, modules });
  }
  return best.modules;
}

/** The data: mode, length, bytes, end, padding. */
function words(bytes: Uint8Array, version: number): number[] {
  const [all, blocks, correction] = SIZES[version - 1]!;
  const most = all - blocks * correction;
  const digits: string[] = ["0100", bytes.length.toString(2).padStart(version < 10 ? 8 : 16, "0")];
  for (const byte of bytes) digits.push(byte.toString(2).padStart(8, "0"));
  const text = `${digits.join("")}0000`.slice(0, 8 * most);
  const out = (text.padEnd(Math.ceil(text.length / 8) * 8, "0").match(/.{8}/g) ?? []).map((word) => Number.parseInt(word, 2));
  for (let pad = 0xec; out.length < most; pad ^= 0xec ^ 0x11) out.push(pad);
  return out;
}

/** Blocks with their correction, a word of each in turn, as bits. */
function interleaved(data: number[], version: number): number[] {
  const [all, blocks, correction] = SIZES[version - 1]!;
  const short = Math.floor(all / blocks) - correction;
  const longer = all % blocks;
  const divisor = generator(correction);
  const parts: { data: number[]; rest: number[] }[] = [];
  for (let at = 0, i = 0; i < blocks; i++) {
    const part = data.slice(at, (at += short + (i < blocks - longer ? 0 : 1)));
    parts.push({ data: part, rest: remainder(part, divisor) });
  }
  const out: number[] = [];
  for (let i = 0; i <= short; i++) for (const part of parts) if (i < part.data.length) out.push(part.data[i]!);
  for (let i = 0; i < correction; i++) for (const part of parts) out.push(part.rest[i]!);
  return out.flatMap((word) => Array.from({ length: 8 }, (_, i) => (word >> (7 - i)) & 1));
}

/** Product in the field of 256 elements that QR codes reckon in. */
function times(a: number, b: number): number {
  let out = 0;
  for (let i = 7; i >= 0; i--) out = (out << 1) ^ ((out >> 7) * 0x11d) ^ (((b >> i) & 1) * a);
  return out;
}

function generator(degree: number): number[] {
  const out = new Array<number>(degree).fill(0);
  out[degree - 1] = 1;
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) out[j] = times(out[j]!, root) ^ (out[j + 1] ?? 0);
  }
  return out;
}

function remainder(data: number[], divisor: number[]): number[] {
  const out = new Array<number>(divisor.length).fill(0);
  for (const word of data) {
    const factor = word ^ out.shift()!;
    out.push(0);
    divisor.forEach((d, i) => (out[i]! ^= times(d, factor)));
  }
  return out;
}

const MASKS: ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** Bits with the remainder of their division, as format and version are protected. */
function protectedBits(value: number, degree: number, divisor: number): number {
  let rest = value;
  for (let i = 0; i < degree; i++) rest = (rest << 1) ^ ((rest >> (degree - 1)) * divisor);
  return (value << degree) | rest;
}

function drawn(size: number, version: number, bits: number[], mask: number): boolean[][] {
  const modules: (boolean | undefined)[][] = Array.from({ length: size }, () => new Array<boolean | undefined>(size).fill(undefined));
  const set = (x: number, y: number, dark: boolean) => {
    if (x >= 0 && x < size && y >= 0 && y < size) modules[y]![x] = dark;
  };
  const rings = (x: number, y: number, radius: number, light: number[]) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) set(x + dx, y + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  };
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) rings(x, y, 4, [2, 4]);
  const centres = version > 1 ? [6, ...CENTRES[version - 1]!] : [];
  const last = centres.at(-1);
  for (const x of centres) {
    for (const y of centres) if (!((x === 6 && (y === 6 || y === last)) || (y === 6 && x === last))) rings(x, y, 2, [1]);
  }
  // format: correction M is 00
  const format = protectedBits(mask, 10, 0x537) ^ 0x5412;
  const bit = (value: number, i: number) => ((value >> i) & 1) === 1;
  for (let i = 0; i < 15; i++) {
    const at = i < 6 ? i : i < 8 ? i + 1 : size - 15 + i;
    set(8, at, bit(format, i));
    const across = i < 8 ? size - 1 - i : i === 8 ? 7 : 14 - i;
    set(across, 8, bit(format, i));
  }
  set(8, size - 8, true);
  if (version >= 7) {
    const told = protectedBits(version, 12, 0x1f25);
    for (let i = 0; i < 18; i++) {
      const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)];
      set(a, b, bit(told, i));
      set(b, a, bit(told, i));
    }
  }
  // data: two columns at a time from the right, up and down, past the upright timing pattern
  let next = 0;
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5;
    for (let i = 0; i < size; i++) {
      const y = up ? size - 1 - i : i;
      for (const x of [right, right - 1]) {
        if (modules[y]![x] === undefined) modules[y]![x] = ((bits[next++] ?? 0) === 1) !== MASKS[mask]!(x, y);
      }
    }
  }
  return modules as boolean[][];
}

/** How hard it is to read: long runs, blocks, what looks like a finder, too much of one colour. */
function penalty(modules: boolean[][]): number {
  const size = modules.length;
  let score = 0;
  let dark = 0;
  const lines = [...modules, ...modules.map((_, x) => modules.map((row) => row[x]!))];
  for (const line of lines) {
    const text = line.map((on) => (on ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) score += run.length - 2;
    for (const finder of ["10111010000", "00001011101"]) {
      for (let at = text.indexOf(finder); at >= 0; at = text.indexOf(finder, at + 1)) score += 40;
    }
  }
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const on = modules[y]![x]!;
      if (on) dark++;
      if (x + 1 < size && y + 1 < size && modules[y]![x + 1] === on && modules[y + 1]![x] === on && modules[y + 1]![x + 1] === on) score += 3;
    }
  }
  return score + 10 * Math.floor(Math.abs((20 * dark) / (size * size) - 10));
}
