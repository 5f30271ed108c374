import { expect, test } from "vitest";
import { changed, given, good, invitation, standing, type Access, type User } from "./people.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const user: User = { name: "ada", role: "analyst", payload: false, totp: true, created: "2026-01-01T00:00:00Z", disabled: false };
const access: Access = { name: "backup", role: "viewer", payload: false, created: "2026-01-01T00:00:00Z", comment: "" };

test("how it stands with an account", () => {
  const word = (more: Partial<User>) => standing({ ...user, ...more }, NOW).word;
  expect(word({ last_sign_in: "2026-02-01T00:00:00Z" })).toBe("active");
  expect(word({ invited_until: "2026-03-01T12:10:00Z" })).toBe("invited");
  expect(word({ invited_until: "2026-03-01T11:50:00Z" })).toBe("invitation ended");
  expect(word({ invited_until: "2026-03-01T12:10:00Z", last_sign_in: "2026-02-01T00:00:00Z" })).toBe("new password offered");
  expect(word({ invited_until: "2026-03-01T11:50:00Z", last_sign_in: "2026-02-01T00:00:00Z" })).toBe("active");
  expect(word({ disabled: true, invited_until: "2026-03-01T12:10:00Z" })).toBe("disabled");
});

test("how it stands with a token", () => {
  const word = (expires?: string) => good({ ...access, ...(expires && { expires }) }, NOW).word;
  expect(word()).toBe("without end");
  expect(word("2026-03-01T12:00:00Z")).toBe("ended");
  expect(word("2026-03-05T12:00:00Z")).toBe("ends soon");
  expect(word("2026-06-01T12:00:00Z")).toBe("good");
});

test("the code of an invitation goes to no server by its address", () => {
  const url = new URL(invitation("https://wall.example:8443", "a/b=c&d"));
  expect(url.hash).toBe("#/invitation?code=a%2Fb%3Dc%26d");
  expect(`${url.pathname}${url.search}`).toBe("/");
});

test("a scope of blanks is none", () => {
  const rights = { role: "viewer", scope: "  ", payload: true } as const;
  expect(changed(rights)).toEqual({ role: "viewer", scope: "", payload: true });
  expect(given(rights)).toEqual({ role: "viewer", payload: true });
  expect(given({ ...rights, scope: " group:db " }).scope).toBe("group:db");
});
