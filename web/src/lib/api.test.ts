import { beforeEach, expect, test, vi } from "vitest";
import { ask, onSignedOut, Problem } from "./api.ts";

const answer = vi.fn<() => Response>();
vi.stubGlobal("fetch", async () => answer());
const out = vi.fn();
onSignedOut(out);
beforeEach(() => out.mockClear());

const problem = (status: number, type: string, headers = {}) =>
  new Response(JSON.stringify({ type: `urn:bartizan:${type}`, detail: "so it is" }), { status, headers });

test("who is no longer known is signed out", async () => {
  answer.mockImplementation(() => problem(401, "unauthorized"));
  await expect(ask("search", {})).rejects.toThrow("so it is");
  expect(out).toHaveBeenCalledTimes(1);
});

test.each(["session", "invitation", "me/password", "me/totp", "me/totp/confirm", "me/totp/remove"])("a wrong secret at %s signs nobody out", async (path) => {
  answer.mockImplementation(() => problem(401, "unauthorized"));
  await expect(ask(path, {})).rejects.toBeInstanceOf(Problem);
  expect(out).not.toHaveBeenCalled();
});

test("how long to wait is read", async () => {
  answer.mockImplementation(() => problem(429, "too-many-attempts", { "retry-after": "7" }));
  await expect(ask("session", {})).rejects.toMatchObject({ status: 429, after: 7, type: "urn:bartizan:too-many-attempts" });
});
