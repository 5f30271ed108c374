import { expect, test } from "vitest";
import { none, onlyNow } from "./news.ts";

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

test("nothing found is nothing at all only where all was looked at", () => {
  const empty = { values: [], compared: true, complete: true };
  const found = [{ ...empty, all: true }, { ...empty, all: false }, { ...empty, all: false, values: [{ value: 1, events: 2 }] }];
  const kinds = [{ many: "sources" }, { many: "ports" }, { many: "rules" }];
  expect(none(found, kinds, true)).toBe("sources");
  expect(none(found, kinds, false)).toBe("ports");
});
