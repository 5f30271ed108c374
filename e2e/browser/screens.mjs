// Pictures of every page in both themes, for the README and for whoever changes the page: `node screens.mjs FOLDER`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { URL_, api, browser, open } from "./page.mjs";

const folder = process.argv[2] ?? "docs/screens";
const [width, height] = (process.argv[3] ?? "1280x800").split("x").map(Number);
mkdirSync(folder, { recursive: true });

const [row] = await api("search", { filter: "dport:22", limit: 1 });
const PAGES = {
  overview: "/",
  explore: "/explore?from=-1h&q=dport:22,3389+src:public",
  live: "/explore?from=-15m&live=1",
  event: `/event/${encodeURIComponent(row.id)}`,
  flows: "/flows",
  accounting: "/accounting",
  fleet: "/fleet",
  host: `/fleet/${row.host}`,
  rules: `/rules/${row.host}`,
  map: "/map",
  unparsed: "/unparsed",
  imports: "/imports",
  settings: "/settings",
  people: "/settings?part=people",
  audit: "/settings?part=audit",
};

const chrome = await browser();
try {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(chrome, { colorScheme, viewport: { width, height } });
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(URL_ + path);
      await page.waitForTimeout(name === "live" ? 4000 : 1500);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.jpg`), type: "jpeg", quality: 62 });
    }
  }
} finally {
  await chrome.close();
}
