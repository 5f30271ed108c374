import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/", search: "", hash: "" });
vi.stubGlobal("addEventListener", () => {});
const { brought } = await import("./session.svelte.ts");

test("links bring a token or an invitation, and nothing else", () => {
  expect(brought("#token=abc%2Fd")).toEqual({ token: "abc/d" });
  expect(brought("#/invitation?code=x-1")).toEqual({ code: "x-1" });
  expect(brought("#/invitation?code=100%")).toEqual({ code: "100%" });
  expect(brought("#content")).toBeUndefined();
  expect(brought("#/invitation?code=")).toBeUndefined();
  expect(brought("")).toBeUndefined();
});
