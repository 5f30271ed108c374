import { expect, test } from "vitest";
import { onlyNow } from "./news.ts";

test("what was there before, or has no value, is not new", () => {
  const found = onlyNow({
    values: [
      { value: 22, now: 9, before: 3 },
      { value: 8080, now: 5, before: 0 },
      { value: null, now: 4, before: 0 },
    ],
    all: true,
    complete: true,
  });
  expect(found.values).toEqual([{ value: 8080, events: 5 }]);
  expect(found.compared).toBe(true);
});

test("with nothing before, nothing can be said to be new", () => {
  expect(onlyNow({ values: [{ value: 1, now: 1, before: 0 }], all: true, complete: true }).compared).toBe(false);
});
