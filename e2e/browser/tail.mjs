// The live tail: under load, paused, cut off. Every row that matches is shown, once.

import { URL_, api, browser, clean, equal, open, truth, until } from "./page.mjs";
import { leave, say } from "./stage.mjs";
import { line, stream } from "./traffic.mjs";

const NOISE = 1500; // a second
const SECONDS = 8;

const chrome = await browser();
try {
  const page = await open(chrome);
  const newest = () => page.locator(".grid-row:not([hidden])").first().textContent();
  const status = () => page.locator(".status").textContent();

  // One row in thousands is wanted, and comes; whatever else goes by is not sent at all.
  await page.goto(`${URL_}/explore?q=${encodeURIComponent("dport:4242")}&from=-15m&live=1`);
  await page.locator(".badge.good", { hasText: "lag" }).waitFor();
  let wanted = 0;
  const sent = await stream(NOISE, SECONDS, (n) => line({ dport: n % NOISE === 7 ? (wanted++, 4242) : 1000 + (n % 900), src: `203.0.113.${n % 250}` }));
  truth(wanted >= SECONDS - 1 && sent >= NOISE * (SECONDS - 1), "the load was a load");
  const rows = async () => Number(await page.locator(".grid").getAttribute("aria-rowcount")) - 1;
  await until(`all ${wanted} rows that match are shown`, async () => (await rows()) === wanted);

  // Everything: rows move; Space holds them, nothing is lost meanwhile, and on it goes.
  await page.goto(`${URL_}/explore?from=-15m&live=1`);
  await page.locator(".badge.good", { hasText: "lag" }).waitFor();
  const first = stream(300, 3, (n) => line({ prefix: `first-${n}: ` }));
  await until("rows come", async () => (await rows()) > 100);
  await page.locator(".grid").focus();
  await page.keyboard.press("Space");
  const held = await newest();
  const shown = await rows();
  await first;
  await stream(300, 2, (n) => line({ prefix: `held-${n}: ` }));
  equal(await newest(), held, "the row at the top while it is held");
  equal(await rows(), shown, "rows while it is held");
  truth(/▼ [\d,]+ new/.test(await status()), "how many wait is told");
  await page.keyboard.press("Space");
  await until("all of them are shown", async () => (await rows()) === 300 * 3 + 300 * 2 || (await rows()) >= 1400, 10);
  truth((await rows()) > shown, "what came meanwhile is shown");

  // Scrolling up to older rows holds as well.
  await page.mouse.move(700, 700);
  await page.mouse.wheel(0, 2000);
  await page.getByRole("button", { name: "Go on" }).waitFor();
  await page.getByRole("button", { name: /▼/ }).click();

  // The server is killed and comes back: what arrived before, between and after is there once.
  page.expected(/ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE|ERR_HTTP2|ERR_FAILED|ERR_NETWORK|status of 50\d/);
  await page.goto(`${URL_}/explore?q=${encodeURIComponent("dport:4300-4399")}&from=-15m&live=1`);
  await page.locator(".badge.good", { hasText: "lag" }).waitFor();
  await stream(20, 1, (n) => line({ dport: 4300 + n }));
  await until("rows before", async () => (await rows()) >= 19);
  const before = (await api("count", { filter: "dport:4300-4399" })).rows;
  await say("kill");
  await page.locator(".badge.bad", { hasText: "no connection" }).waitFor();
  await say("start");
  await stream(20, 1, (n) => line({ dport: 4330 + n }));
  await page.locator(".badge.good", { hasText: "lag" }).waitFor();
  await stream(20, 1, (n) => line({ dport: 4360 + n }));
  const after = await until("the server has what was sent", async () => {
    const { rows } = await api("count", { filter: "dport:4300-4399" });
    return rows >= before + 38 && rows;
  });
  await until(`the page has all ${after} rows, once`, async () => {
    const here = await rows();
    if (here !== after) throw new Error(`it has ${here}`);
    return true;
  });
  truth(/reconnected/.test(await status()), "it is told that the connection was lost");
  await clean(page);
} finally {
  await chrome.close();
  leave();
}
