// Asks whoever runs this test to do something with the server: a line out, a line back when it is done.

import { createInterface } from "node:readline";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** `kill`, `start`: done when this returns. */
export async function say(what) {
  process.stdout.write(`stage: ${what}\n`);
  const { value, done } = await answers.next();
  if (done || value !== "done") throw new Error(`stage: ${what}: ${value ?? "nobody answers"}`);
}

/** Lets the process end although it could still be answered. */
export const leave = () => process.stdin.destroy();
