// The same with the keyboard alone.

import { URL_, browser, clean, counts, filter, open, truth, until } from "./page.mjs";
import { variety } from "./traffic.mjs";

await variety();
const chrome = await browser();
try {
  const page = await open(chrome);
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const shown = () => until("events are shown", async () => (await counts(page)).at(-1) > 0);

  await page.goto(`${URL_}/`);
  await press("/");
  await until("/ leads to the explorer", () => new URL(page.url()).pathname === "/explore");
  await shown();

  // a field and a value from the completions
  await press("/");
  await page.keyboard.type("act");
  await page.locator("#offers li").first().waitFor();
  await press("ArrowDown", "Enter");
  await page.locator("#offers li .mono", { hasText: /^drop$/ }).waitFor();
  await press("ArrowDown", "Enter", "Enter");
  await until("action is asked", () => /^action:\w+$/.test(filter(page)));
  await shown();

  // rows: down, to the source, out with it; and another in
  await press("Escape", "j", "j", "l", "l", "l");
  truth(await page.locator(".grid .active").count(), "a cell is active");
  const active = await page.locator(".grid").getAttribute("aria-activedescendant");
  const source = await page.locator(`#${active}`).textContent();
  await press("-");
  await until("excluded by -", () => filter(page).endsWith(`-src:${source}`));
  await shown();
  await press("j", "+");
  await until("included by +", () => / src:/.test(` ${filter(page)}`));
  await shown();

  // what else a cell offers
  await press("j", ".");
  await page.locator("[role=menu] button").first().waitFor();
  truth(await page.evaluate(() => document.activeElement?.getAttribute("role") === "menuitem"), "the menu has the focus");
  await press("ArrowDown", "Escape");
  truth(await page.evaluate(() => document.activeElement?.getAttribute("role") === "grid"), "the rows have it back");

  // an event, and away from it
  await press("Enter");
  await page.locator("aside").waitFor();
  await press("Escape");
  await until("the event is closed", async () => (await page.locator("aside").count()) === 0);

  // the time: earlier, and back out
  const url = page.url();
  await press("[");
  await until("an earlier window", () => page.url() !== url);
  await press("]", "z");

  // facets, groups, comparison, keys, palette
  await press("f");
  await until("facets are gone", async () => (await page.locator(".facets").count()) === 0);
  await press("f", "g");
  await page.locator(".groups").waitFor();
  await press("g", "c");
  await until("compared", () => page.url().includes("cmp=1"));
  await press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await press("Escape", "Control+k");
  await page.getByRole("dialog", { name: "Go to" }).waitFor();
  await page.keyboard.type("fleet");
  await press("Enter");
  await until("the palette leads on", () => new URL(page.url()).pathname === "/fleet");

  // every cell and every row can be reached
  await page.goto(`${URL_}/explore?from=-24h`);
  await shown();
  await page.locator(".grid").focus();
  await press("End");
  await until("the last row has come", async () => {
    const count = Number(await page.locator(".grid").getAttribute("aria-rowcount"));
    return count >= Math.min(502, (await counts(page)).at(-1) + 1);
  });
  await press("Home");
  await until("the first row is active", async () => (await page.locator(".grid-row.current").getAttribute("aria-rowindex")) === "2");
  await clean(page);
} finally {
  await chrome.close();
}
