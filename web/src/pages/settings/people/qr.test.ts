// The same modules as another encoder (python-qrcode 8) makes of these texts with the same mask.

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { qr } from "./qr.ts";

const TEXTS: [string, number, string][] = [
  ["HELLO, wall", 21, "a04b619141325b9ed749cc09554470b39521c1bc9c9bda19238ce5222d14686c"],
  ["otpauth://totp/Bartizan:ada?secret=47CFJXBAVZXYDTC7WA5VEVOVLSW5TEE3&issuer=Bartizan", 37, "ffcf1346d4cf22f7d0fe14547c80e8fdf91398dcc1e64d3bcec4509f12e9a965"],
  ["x".repeat(150), 49, "9782fa7f0642d3e6b22295c01fc9e2fe9a0f19d22af2cf7b3964dcb6a932e44e"],
  ["z".repeat(200), 57, "156c30f88b7728938114861d36146a2dec80ee623404bd108fe5bac818f0e4c8"],
];

test.each(TEXTS)("%s", (text, size, hash) => {
  const modules = qr(text)!;
  expect(modules).toHaveLength(size);
  const written = modules.map((row) => row.map((dark) => (dark ? "1" : "0")).join("")).join("\n");
  expect(createHash("sha256").update(written).digest("hex")).toBe(hash);
});

test("what is too long has no code", () => {
  expect(qr("z".repeat(213))).toHaveLength(57);
  expect(qr("z".repeat(214))).toBeUndefined();
  expect(qr("é".repeat(107))).toBeUndefined();
});
