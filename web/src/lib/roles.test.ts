import { expect, test } from "vitest";
import { grantable, lacking } from "./roles.ts";

test("a role may what those below it may", () => {
  expect(lacking("viewer", "viewer")).toBeUndefined();
  expect(lacking("admin", "operator")).toBeUndefined();
  expect(lacking("viewer", "analyst")).toBe("This needs the role analyst; yours is viewer.");
  expect(lacking("operator", "admin")).toBe("This needs the role admin; yours is operator.");
});

test("what the page does not know, the server decides", () => {
  expect(lacking(undefined, "admin")).toBeUndefined();
  expect(lacking("auditor", "admin")).toBeUndefined();
});

test("nobody gives more than he has", () => {
  expect(grantable("analyst")).toEqual(["viewer", "analyst"]);
  expect(grantable("admin")).toHaveLength(4);
});
