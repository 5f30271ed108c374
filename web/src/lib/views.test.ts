import { expect, test } from "vitest";
import { held, viewAddress, type View } from "./views.ts";

const view: View = { name: "a b", table: "events", filter: "dport:22", columns: ["time", "src"], since: "1h", shared: true, changed: "" };

test("a view is what the explorer holds", () => {
  expect(held(view)).toEqual({ q: "dport:22", from: "-1h", cols: ["time", "src"], view: "a b" });
  expect(held({ ...view, since: null, columns: [] })).toEqual({ q: "dport:22", view: "a b" });
  expect(viewAddress(view)).toBe("/explore?q=dport%3A22&from=-1h&cols=time%2Csrc&view=a+b");
});
