// A day at the explorer: find, exclude, zoom, open, save, share, take home. Every number is compared with the server's.

import { readFile } from "node:fs/promises";
import { URL_, api, browser, clean, counts, equal, filter, open, truth, until } from "./page.mjs";
import { variety } from "./traffic.mjs";

/** The question of an address, as the API has it. */
function question(address) {
  const query = new URL(address).searchParams;
  return { filter: query.get("q") ?? "", since: query.get("from"), until: query.get("to") };
}

/** The number of events that is shown, when it has come to rest. */
const total = async (page) => {
  await page.waitForFunction(() => !document.querySelector(".status.stale, .picture[aria-busy=true], .facets[aria-busy=true]"));
  return (await counts(page)).at(-1);
};

await variety();
const chrome = await browser();
try {
  const page = await open(chrome, { acceptDownloads: true, timezoneId: "America/New_York" });

  // What is shown is what the server counts. A fixed time makes both mean the same.
  const now = new Date();
  const range = `from=${new Date(now - 3600e3).toISOString()}&to=${now.toISOString()}`;
  await page.goto(`${URL_}/explore?${range}`);
  const all = await until("events are shown", () => total(page));
  equal(all, (await api("count", question(page.url()))).rows, "events of the hour");
  truth(all > 50, "there is something to look at");

  // A number of a facet is the number that its filter gives.
  for (const field of ["action", "host", "src", "dport", "rule", "proto"]) {
    const line = page.locator(`.facets section:has(h2:has-text("${field}")) li:not(.other)`).first();
    await line.waitFor();
    const promised = Number(/: ([\d,]+) \(/.exec(await line.locator(".value").getAttribute("title"))[1].replace(/,/g, ""));
    const term = await line.locator(".value").textContent();
    await line.locator(".value").click();
    await until(`facet ${field} ${term} filters`, async () => (await total(page)) === promised);
    equal(promised, (await api("count", question(page.url()))).rows, `facet ${field} ${term}`);
    await page.goBack();
    await until("back to everything", async () => filter(page) === "" && (await total(page)) === all);
  }

  // A value beyond the largest is found by what it begins with.
  const sources = await api("facets", { ...question(page.url()), fields: ["src"], limit: 1000 });
  const rare = sources.facets[0].values.at(-1);
  const section = page.locator('.facets section:has(h2:has-text("src"))').first();
  equal(await section.getByTitle(`${rare.value}:`).count(), 0, "the rare source is not among the largest");
  await page.getByLabel("Find a value of src", { exact: true }).fill(rare.value);
  await section.getByTitle(`${rare.value}: ${rare.rows} (`).click();
  await until("the rare source is asked", async () => filter(page) === `src:${rare.value}` && (await total(page)) === rare.rows);
  await page.goBack();
  await until("back to everything again", async () => filter(page) === "" && (await total(page)) === all);
  await page.getByLabel("Find a value of src", { exact: true }).press("Escape");
  await page.getByLabel("Find a value of src", { exact: true }).blur();

  // Typing: a field, a value with its count, and the chip.
  await page.keyboard.press("/");
  await page.keyboard.type("hos");
  await page.getByRole("option", { name: "host:" }).first().click();
  const offer = page.locator("#offers li").first();
  await offer.waitFor();
  const host = await offer.locator(".mono").textContent();
  await offer.click();
  await page.keyboard.press("Enter");
  await until("the host is asked", () => filter(page) === `host:${host}`);
  equal(await page.locator(".chips .text").allTextContents(), [`host:${host}`], "chips");
  const some = await total(page);
  equal(some, (await api("count", question(page.url()))).rows, "events of the host");

  // The noisiest source goes, by the tools of a cell.
  const cell = page.locator(".grid-row [role=gridcell]:nth-child(4)").first();
  const noisy = await cell.textContent();
  await cell.hover();
  await page.getByRole("button", { name: "Exclude this value" }).click();
  await until("the source is excluded", () => filter(page) === `host:${host} -src:${noisy}`);
  const fewer = await total(page);
  truth(fewer < some, "fewer events without the source");
  equal(fewer, (await api("count", question(page.url()))).rows, "events without the source");

  // An address for a set: the page writes what the configuration needs, and that nothing has changed yet.
  await page.locator(".grid-row [role=gridcell]:nth-child(4)").first().click({ position: { x: 6, y: 10 } });
  await page.keyboard.press(".");
  await page.getByRole("menuitem", { name: "add to a set" }).click();
  const source = await page.getByRole("dialog").locator("fieldset label").first().textContent();
  await page.getByLabel("named").fill("noise");
  equal(await page.locator("dialog .line code").textContent(), `noise = ["${source.trim()}"]`, "the line of the configuration");
  await page.keyboard.press("Escape");

  // Its chip: the opposite, off, on, away.
  const chip = page.locator(".chips li").nth(1).locator(".text");
  await chip.focus();
  await page.keyboard.press("!");
  await until("turned over", () => filter(page) === `host:${host} src:${noisy}`);
  await page.locator(".chips li").nth(1).locator(".text").focus();
  await page.keyboard.press(" ");
  await until("switched off, and still in the address", () => page.url().includes("off=src") && filter(page) === `host:${host}`);
  await page.locator(".chips li.off .text").click();
  await until("switched on", () => filter(page) === `host:${host} src:${noisy}`);
  await page.locator(".chips li").nth(1).locator(".text").focus();
  await page.keyboard.press("Delete");
  await until("removed", () => filter(page) === `host:${host}` && !page.url().includes("off="));

  // A mistake is shown where it is, and mended by a click.
  page.expected(/status of 400/);
  await page.fill("#filter", `hots:${host}`);
  await page.keyboard.press("Enter");
  await page.locator("#filter-error").waitFor();
  truth(await page.locator(".over .wrong").count(), "the place of the mistake is underlined");
  await page.locator("#filter-error button").click();
  await until("mended", () => filter(page) === `host:${host}`);

  // Dragging over the picture zooms; z goes back.
  const before = await total(page);
  const picture = await page.locator(".u-over").boundingBox();
  await page.mouse.move(picture.x + picture.width * 0.5, picture.y + 30);
  await page.mouse.down();
  await page.mouse.move(picture.x + picture.width * 0.97, picture.y + 30, { steps: 8 });
  await page.mouse.up();
  await until("the time is narrower", () => !page.url().includes(encodeURIComponent(range.split("&")[0].slice(5))));
  equal(await total(page), (await api("count", question(page.url()))).rows, "events of the narrower time");
  await page.locator(".grid").focus();
  await page.keyboard.press("z");
  await until("back to the whole time", async () => (await total(page)) === before);

  // An event, with the rule that wrote it.
  await page.locator(".grid-row [role=gridcell]").first().dblclick();
  await page.locator("aside").getByText(/drop|reject/).first().waitFor();
  truth(page.url().includes("ev="), "the address holds the event");
  await page.keyboard.press("Escape");

  // Groups.
  await page.keyboard.press("g");
  await page.locator(".groups tbody tr").first().waitFor();
  const sum = (await page.locator(".groups tbody td:first-child").allTextContents()).reduce((n, t) => n + Number(t.replace(/,/g, "")), 0);
  truth(sum <= before && sum > 0, "groups are made of the events");
  await page.keyboard.press("g");

  // Zone, columns and facets are in the address, too.
  await page.keyboard.press("u");
  await page.keyboard.press("f");
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("checkbox", { name: "flags" }).uncheck();
  await page.keyboard.press("Escape");
  const heads = await page.locator("[role=columnheader]").allTextContents();
  truth(!heads.includes("flags") && heads.includes("rule"), `columns: ${heads}`);

  // A view, and the same address in another browser.
  await page.keyboard.press("s");
  await page.getByLabel("Name").fill("noise of a host");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.locator(".badge", { hasText: "noise of a host" }).waitFor();
  const views = await api("views");
  truth(views.some((view) => view.name === "noise of a host" && view.filter === `host:${host}`), "the view is kept");
  const shown = await page.locator(".grid-row").first().textContent();
  const other = await open(chrome, { timezoneId: "Asia/Tokyo" });
  await other.goto(page.url());
  await until("the same in another browser", async () => (await total(other)) === before);
  equal(await other.locator(".grid-row").first().textContent(), shown, "the first row in another browser");
  equal(await other.locator("[role=columnheader]").allTextContents(), heads, "columns in another browser");
  equal(await other.locator(".facets").count(), 0, "facets in another browser");
  await clean(other);

  // All of it as a file.
  await page.getByRole("button", { name: "Export" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as a file" }).click()]);
  const lines = (await readFile(await download.path(), "utf8")).trim().split("\r\n");
  equal(lines.length - 1, before, "lines of the file");
  await page.keyboard.press("Escape");

  // Nothing matches: which term is to blame, and one click without it.
  await page.goto(`${URL_}/explore?q=${encodeURIComponent(`host:${host} dport:65535 proto:esp`)}&${range}`);
  await page.getByRole("heading", { name: "Nothing matches" }).waitFor();

  await clean(page);
} finally {
  await chrome.close();
}
