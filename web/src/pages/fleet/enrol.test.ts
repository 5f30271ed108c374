import { expect, test } from "vitest";
import { address, command, shell } from "./enrol.ts";

test("nothing in a name ends the command", () => {
  expect(command("watch.example.net", "bz1.abc-_", "")).toBe(
    "bartizan-agent enrol --server watch.example.net --token bz1.abc-_ && bartizan-agent run",
  );
  expect(command("w", "t", "a; rm -rf ~ 'x'")).toContain(`--name 'a; rm -rf ~ '\\''x'\\''' &&`);
  expect(shell("[2001:db8::1]:8443")).toBe("'[2001:db8::1]:8443'");
});

test("the usual port is left out, another is not", () => {
  expect(address("w", "8443")).toBe("w");
  expect(address("w", "9443")).toBe("w:9443");
  expect(address("w", "")).toBe("w:443");
});
