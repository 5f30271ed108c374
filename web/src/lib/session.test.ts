import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/", search: "", hash: "" });
vi.stubGlobal("addEventListener", () => {});
const { brought, returned } = await import("./session.svelte.ts");

test("links bring a token or an invitation, and nothing else", () => {
  expect(brought("#token=abc%2Fd")).toEqual({ token: "abc/d" });
  expect(brought("#/invitation?code=x-1")).toEqual({ code: "x-1" });
  expect(brought("#/invitation?code=100%")).toEqual({ code: "100%" });
  expect(brought("#content")).toBeUndefined();
  expect(brought("#/invitation?code=")).toBeUndefined();
  expect(brought("")).toBeUndefined();
});

test("what a provider sends along is read where it sends the browser to, and nowhere else", () => {
  expect(returned("/sign-in", "?code=a%2Fb&state=s&iss=https%3A%2F%2Fid.example&session_state=x")).toEqual({ state: "s", code: "a/b", iss: "https://id.example" });
  expect(returned("/sign-in", "?state=s&error=access_denied&error_description=No+way")).toEqual({ state: "s", error: "access_denied", error_description: "No way" });
  for (const search of ["", "?code=a", "?state=s", "?q=state"]) expect(returned("/sign-in", search)).toBeUndefined();
  expect(returned("/explore", "?code=a&state=s")).toBeUndefined();
});
