import { expect, test } from "vitest";
import { certificate, inGroup, stateOf, type Host } from "./hosts.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();
const host = (more: Partial<Host>): Host => ({
  name: "web",
  id: "1f",
  reports: "agent",
  first_seen: ago(9999),
  last_contact: ago(1),
  last_event: ago(1),
  events: 1,
  lost: 0,
  cert_not_after: null,
  clock_offset_ms: 0,
  clone_seen: null,
  state: "online",
  ...more,
});

test("no events and no contact are different", () => {
  expect(stateOf(host({}), NOW)).toBe("live");
  expect(stateOf(host({ last_event: ago(3600) }), NOW)).toBe("quiet");
  expect(stateOf(host({ last_event: null }), NOW)).toBe("quiet");
  expect(stateOf(host({ last_contact: ago(31) }), NOW)).toBe("late");
  expect(stateOf(host({ last_contact: ago(601), last_event: ago(601), state: "offline" }), NOW)).toBe("lost");
  expect(stateOf(host({ last_contact: null, last_event: null }), NOW)).toBe("never");
});

test("without an agent quiet and lost are one", () => {
  expect(stateOf(host({ state: "no agent", last_contact: ago(60) }), NOW)).toBe("live");
  expect(stateOf(host({ state: "no agent", last_contact: ago(6000), last_event: null }), NOW)).toBe("silent");
});

test("who may not send is called so, whatever was heard of it", () => {
  for (const state of ["waiting", "revoked", "retired"] as const) expect(stateOf(host({ state }), NOW)).toBe(state);
});

test("certificates that should have been renewed are told", () => {
  expect(certificate(host({ cert_not_after: ago(-5 * 86400) }), NOW)).toBe("");
  expect(certificate(host({ cert_not_after: ago(-3600) }), NOW)).toBe("warn");
  expect(certificate(host({ cert_not_after: ago(1) }), NOW)).toBe("bad");
});

test("groups have wildcards and nothing else", () => {
  expect(inGroup("web-01", ["web-0?"])).toBe(true);
  expect(inGroup("WEB-01", ["web-*"])).toBe(true);
  expect(inGroup("web-011", ["web-0?"])).toBe(false);
  expect(inGroup("a.b", ["a?b", "x"])).toBe(true);
  expect(inGroup("axb", ["a.b"])).toBe(false);
});
