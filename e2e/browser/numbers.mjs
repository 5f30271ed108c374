// The pages beside the explorer: each number that leads to the explorer is what the server counts for the filter and the
// time that it leads to; an event is told in words, and is found again by its own filter.

import { URL_, api, browser, clean, equal, open, truth, until } from "./page.mjs";
import { variety } from "./traffic.mjs";

await variety();
const chrome = await browser();
try {
  const page = await open(chrome);
  page.expected(/status of 404/); // a host without an agent has no ruleset
  await until("events are there", async () => (await api("count", { filter: "host:gateway" })).rows >= 300);
  const to = new Date();
  const time = `from=${new Date(to - 3600e3).toISOString()}&to=${to.toISOString()}`;

  /** Every number of the page that leads to the explorer, held against the server. */
  async function numbers(path, least) {
    await page.goto(URL_ + path);
    const links = page.locator('main td.num a[href^="/explore?"], main a.num[href^="/explore?"]');
    if (least > 0) await until(`numbers at ${path}`, async () => (await links.count()) >= least);
    const all = await links.evaluateAll((as) => as.map((a) => [a.textContent.trim(), a.getAttribute("href")]));
    for (const [text, href] of all) {
      const query = new URL(href, URL_).searchParams;
      truth(query.get("from") && query.get("to"), `${path}: ${text} leads to two absolute times`);
      const question = { filter: query.get("q") ?? "", since: query.get("from"), until: query.get("to") };
      const counted = await api("count", question);
      const wanted = text.endsWith("packets") ? counted.packets : counted.rows;
      equal(Number(text.replace(/[^\d]/g, "")), wanted, `${path}: ${text} for ${question.filter}`);
    }
    return all.length;
  }

  truth((await numbers(`/rules?${time}`, 1)) >= 1, "rules have numbers");
  await numbers(`/accounting?${time}`, 0);
  await numbers(`/map?${time}`, 0);

  // An event in words, and what its source did around it.
  const [row] = await api("search", { filter: "src:203.0.113.66 dport:22 action:drop", limit: 1 });
  const address = `/event/${encodeURIComponent(row.id)}`;
  truth((await numbers(address, 3)) >= 3, "the event's context has numbers");
  equal(
    await page.locator("h1").textContent(),
    `${row.host} dropped a TCP SYN from 203.0.113.66 port 40000 to 198.51.100.2 port 22 (ssh), arriving at eth0.`,
    "the event in words",
  );

  // Its filter finds it, and the rule for nft is of its packet.
  const copied = async (name) => {
    await page.evaluate(() => {
      globalThis.copied = undefined;
      Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => void (globalThis.copied = text) }, configurable: true });
    });
    await page.getByRole("button", { name, exact: true }).click();
    return until(`${name} is copied`, () => page.evaluate(() => globalThis.copied));
  };
  equal(await copied("nft drop"), "ip saddr 203.0.113.66 tcp dport 22 drop", "the rule for nft");
  equal(JSON.parse(await copied("JSON")).id, row.id, "the event as JSON");
  const filter = await copied("filter");
  const found = (await api("search", { filter, limit: 1000 })).filter((one) => !one.end);
  truth(found.some((one) => one.id === row.id), `the event is among those of ${filter}`);

  // A neighbour leads to its own page, and the way back leads back.
  await page.locator('main a[href^="/event/"]').first().click();
  await until("the neighbour is shown", () => !page.url().includes(encodeURIComponent(row.id)) && !page.url().endsWith(row.id));
  await page.goBack();
  await until("the event again", async () => (await page.locator("h1").textContent()).includes("203.0.113.66"));

  // What is not there says what to do.
  await page.goto(`${URL_}/flows`);
  await page.getByText("flows.enabled = true").waitFor();
  await page.goto(`${URL_}/map?${time}`);
  await page.getByText("The server knows no countries").waitFor();
  await page.goto(`${URL_}/rules/gateway`);
  await page.getByText("A host's rules are known once its agent has listed them").waitFor();

  await clean(page);
} finally {
  await chrome.close();
}
