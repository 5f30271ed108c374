// What differs between two texts, by lines or by words: the longest common part stays, the rest was taken or added.

export interface Part {
  kind: "same" | "gone" | "new";
  text: string;
}

/** Cells of the table of common parts; above it the middle is shown as replaced as a whole. */
const MOST = 4_000_000;

/** The parts of two lists, in order. All `same` and `gone` are the first list, all `same` and `new` the second. */
export function diff(before: readonly string[], after: readonly string[]): Part[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) tail++;
  const same = (text: string): Part => ({ kind: "same", text });
  return [
    ...before.slice(0, head).map(same),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

function middle(a: string[], b: string[]): Part[] {
  const gone = (text: string): Part => ({ kind: "gone", text });
  const fresh = (text: string): Part => ({ kind: "new", text });
  if (a.length === 0 || b.length === 0 || a.length * b.length > MOST) return [...a.map(gone), ...b.map(fresh)];
  // common[i][j]: how much a from i and b from j have in common
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1]! + 1
          : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
    }
  }
  const out: Part[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ kind: "same", text: a[i]! });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || common[(i + 1) * width + j]! >= common[i * width + j + 1]!)) {
      out.push(gone(a[i++]!));
    } else out.push(fresh(b[j++]!));
  }
  return out;
}

/** By words, neighbours of one kind together. */
export function diffWords(before: string, after: string): Part[] {
  const words = (text: string) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
  const out: Part[] = [];
  for (const part of diff(words(before), words(after))) {
    const last = out.at(-1);
    if (last && last.kind === part.kind) last.text += part.text;
    else out.push({ ...part });
  }
  return out;
}

/** A line with its numbers in both texts. */
export interface Line extends Part {
  /** Its number before and after, from 1, where it was and is. */
  before?: number;
  after?: number;
}

/** By lines. */
export function diffLines(before: string, after: string): Line[] {
  const lines = (text: string) => text.replace(/\n$/, "").split("\n");
  let [i, j] = [0, 0];
  return diff(before === "" ? [] : lines(before), after === "" ? [] : lines(after)).map((part) => ({
    ...part,
    ...(part.kind !== "new" && { before: ++i }),
    ...(part.kind !== "gone" && { after: ++j }),
  }));
}

/** Lines that changed, with some around them; `undefined` stands where lines that are the same were left out. */
export function hunks(lines: readonly Line[], around = 3): (Line | undefined)[] {
  const keep = new Uint8Array(lines.length);
  lines.forEach((line, at) => {
    if (line.kind !== "same") keep.fill(1, Math.max(0, at - around), at + around + 1);
  });
  const out: (Line | undefined)[] = [];
  lines.forEach((line, at) => {
    if (keep[at]) out.push(line);
    else if (out.at(-1) !== undefined || at === 0) out.push(undefined);
  });
  return out;
}
