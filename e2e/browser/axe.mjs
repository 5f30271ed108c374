// Every page and state, in both themes: nothing serious for people who see, hear or move differently (WCAG 2.2 AA).

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { URL_, WEB, api, browser, clean, open } from "./page.mjs";
import { line, stream } from "./traffic.mjs";

const AXE = await readFile(join(WEB, "node_modules/axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const chrome = await browser();
const found = [];
try {
  await stream(50, 2, (n) => line({ dport: 20 + (n % 9), src: `203.0.113.${n}` }));
  const [row] = await api("search", { filter: "", limit: 1 });
  const states = [
    ["overview", "/"],
    ["explorer", "/explore?from=-1h"],
    ["explorer, filter", "/explore?from=-1h&q=dport:22+-host:x&off=proto:udp&cmp=1"],
    ["explorer, mistake", "/explore?from=-1h&q=dprot:22"],
    ["explorer, nothing matches", "/explore?from=-1h&q=dport:65000"],
    ["explorer, no data", "/explore?from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z"],
    ["explorer, groups", "/explore?from=-1h&group=1"],
    ["explorer, live", "/explore?from=-1h&live=1"],
    ["explorer, an event", `/explore?from=-1h&ev=${encodeURIComponent(row.id)}`],
    ["explorer, keys", "/explore?from=-1h", (page) => page.keyboard.press("?")],
    ["explorer, palette", "/explore?from=-1h", (page) => page.keyboard.press("Control+k")],
    ["explorer, views", "/explore?from=-1h", (page) => page.keyboard.press("s")],
    ["explorer, export", "/explore?from=-1h", (page) => page.getByRole("button", { name: "Export" }).click()],
    ["explorer, columns", "/explore?from=-1h", (page) => page.getByRole("button", { name: "Columns" }).click()],
    ["explorer, a value that is looked for", "/explore?from=-1h", (page) => page.getByLabel("Find a value of dport", { exact: true }).fill("2")],
    ["explorer, a set", "/explore?from=-1h", async (page) => {
      await page.locator(".grid-row [role=gridcell]:nth-child(4)").first().click({ position: { x: 6, y: 10 } });
      await page.keyboard.press(".");
      await page.getByRole("menuitem", { name: "add to a set" }).click();
    }],
    ["explorer, completions", "/explore?from=-1h", async (page) => {
      await page.keyboard.press("/");
      await page.keyboard.type("d");
    }],
    ["event", `/event/${encodeURIComponent(row.id)}`],
    ["event that is not there", "/event/none"],
    ["flows", "/flows"],
    ["accounting", "/accounting"],
    ["fleet", "/fleet"],
    ["enrolment", "/fleet?enrol"],
    ["a host", `/fleet/${encodeURIComponent(row.host)}`],
    ["rules", "/rules"],
    ["rules of a host", `/rules/${encodeURIComponent(row.host)}`],
    ["map", "/map"],
    ["unparsed", "/unparsed"],
    ["imports", "/imports"],
    ["settings", "/settings"],
    ["me", "/settings?part=me"],
    ["people", "/settings?part=people", async (page) => {
      await page.getByLabel("Name").fill(`axe-${Date.now()}`);
      await page.getByRole("button", { name: "Make an invitation" }).click();
      await page.locator(".once").waitFor();
    }],
    ["what somebody may", "/settings?part=people", (page) => page.getByRole("button", { name: /^Change what axe/ }).first().click()],
    ["access", "/settings?part=access"],
    ["audit", "/settings?part=audit"],
    ["invitation", "/?n=1#/invitation?code=none"],
    ["signed out", "/sign-in"],
  ];
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(chrome, { colorScheme });
    page.expected(/status of 40\d/);
    for (const [name, path, then] of states) {
      await page.goto(URL_ + path);
      await page.waitForLoadState("load");
      await page.waitForTimeout(600);
      if (then) {
        await then(page);
        await page.waitForTimeout(250);
      }
      await page.evaluate(AXE);
      const { violations } = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: "tag", values } }), TAGS);
      for (const { id, impact, nodes } of violations) {
        if (impact !== "serious" && impact !== "critical") continue;
        for (const node of nodes) found.push(`${name} (${colorScheme}): ${id}, ${impact}: ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`);
      }
    }
    await clean(page);
  }
} finally {
  await chrome.close();
}
if (found.length) throw new Error(`${found.length} findings\n${[...new Set(found)].join("\n")}`);
