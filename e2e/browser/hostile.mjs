// Texts of strangers in every place where the page shows one: they are texts, and nothing else.

import { URL_, api, browser, clean, equal, open, truth, until } from "./page.mjs";
import { line, sender } from "./traffic.mjs";

const SEEDS = [
  "<script>pwned()</script>",
  "<img src=x onerror=pwned()>",
  "<svg/onload=pwned()>",
  "\"><iframe srcdoc='<script>parent.pwned()</script>'>",
  "'-pwned()-'",
  "javascript:pwned()",
  "{{constructor.constructor('pwned()')()}}",
  "${pwned()}",
  "</title><script>pwned()</script>",
  "<style>*{display:none}</style>",
  "<base href=//198.51.100.1>",
  "<meta http-equiv=refresh content=0;url=//198.51.100.1>",
  "\u202egnp.exe",
  "a\u200bb\u2060c\u00add",
  "\u001b[31mred\u001b]8;;http://x\u0007",
  "=HYPERLINK(\"http://x\")",
  "🏴‍☠️ 👩‍👩‍👧‍👦",
  "Z̸̡̛a̵l̶g̴o̷ ̸t̵e̶x̷t",
  "long".repeat(180),
  "\" OR dport:1 (",
  "a:b:c -x !y NOT",
  "back\\slash\\\\\" quote",
  "𝕏 ﷽ ꧅",
  "%3Cscript%3E &lt;b&gt; &#60;i&#62;",
  "null undefined NaN [object Object]",
];

/** Five hundred: each alone, and mixed with others. */
const STRINGS = Array.from({ length: 500 }, (_, n) => {
  const seed = SEEDS[n % SEEDS.length];
  const round = Math.floor(n / SEEDS.length);
  return round === 0 ? seed : `${round % 2 ? SEEDS[(n * 7 + round) % SEEDS.length].slice(0, 90) : ""}${seed.slice(0, 700)}${round}`;
});

const chrome = await browser();
try {
  const page = await open(chrome);
  await page.addInitScript(() => {
    globalThis.pwned = () => (globalThis.ran = true);
  });

  const to = await sender();
  // a log's line ends a text at certain signs: that is for the server to bear, and what it made of it is for the page
  await to.send(STRINGS.map((text, n) => line({ prefix: `${text.replace(/[\r\n\u0000]/g, "")} `, dport: 1 + n })));
  await to.send(STRINGS.slice(0, 200).map((text, n) => line({ from: text.replace(/[\s\u0000-\u001f]/g, "").slice(0, 60) || "h", dport: 2000 + n })));
  await to.send(STRINGS.slice(0, 200).map((text, n) => line({ iface: text.replace(/[\s\u0000-\u001f]/g, "").slice(0, 15) || "i", dport: 3000 + n })));
  await to.close();
  await until("the server has the events", async () => (await api("count", { filter: "dport:1-500" })).rows >= 490);

  const calm = async (where) => {
    equal(await page.evaluate(() => globalThis.ran ?? false), false, `a script ran ${where}`);
    equal(await page.locator("#app script, #app iframe, #app img, #app base, #app meta").count(), 0, `elements of strangers ${where}`);
  };

  // the explorer: every row passes through the window, the facets name the texts
  await page.goto(`${URL_}/explore?from=-1h&cols=time,host,prefix,in_if,dport,rule`);
  await page.evaluate(() => localStorage.setItem("bartizan.facets", JSON.stringify(["host", "prefix", "in", "rule"])));
  await page.reload();
  await page.locator(".facets li").first().waitFor();
  await page.locator(".grid").focus();
  for (let i = 0; i < 60; i++) await page.keyboard.press("PageDown");
  await calm("in the explorer");

  // unseen characters are written out, so that a text cannot look like another
  const shown = await page.locator("body").innerText();
  truth(!/[\u202a-\u202e\u2066-\u2069\u200b\u0007\u001b]/.test(shown), "no unseen character reaches the page");

  // a cell's own filter finds its row: the text went through the filter language and back
  const end = (rows) => rows.filter((row) => !row.end);
  const rows = end(await api("search", { filter: "dport:1-500 prefix:*", limit: 500 }));
  truth(rows.length > 400, "events with prefixes are there");
  let asked = 0;
  for (const row of rows.filter((_, n) => n % 12 === 0)) {
    await page.goto(`${URL_}/explore?from=-1h&cols=prefix,dport&q=${encodeURIComponent(`dport:${row.dport}`)}`);
    const cell = page.locator(".grid-row:not([hidden]) [role=gridcell]:first-child").first();
    await cell.waitFor();
    await cell.click();
    await page.keyboard.press("+");
    await until(`the filter of ${JSON.stringify(row.prefix)} is one`, () => new URL(page.url()).searchParams.get("q").includes("prefix:"));
    const filter = new URL(page.url()).searchParams.get("q");
    equal((await api("count", { filter })).rows >= 1, true, `rows of ${filter}`);
    asked++;
  }
  truth(asked > 30, "filters were made of hostile texts");

  // the event as a page, and the other pages that show names
  for (const row of rows.slice(0, 25)) {
    await page.goto(`${URL_}/event/${encodeURIComponent(row.id)}`);
    await page.locator("h1, h2").first().waitFor();
    await calm(`in the event of ${JSON.stringify(row.prefix)}`);
  }
  for (const path of ["/", "/fleet", "/rules", "/flows", "/accounting", "/map", "/unparsed", "/imports", "/settings"]) {
    await page.goto(URL_ + path);
    await page.waitForTimeout(700);
    await calm(`at ${path}`);
  }

  // a view with a hostile name and filter, in the dialog and the palette
  for (const name of SEEDS.filter((text) => text.length < 60 && !/[\u0000-\u001f]/.test(text))) {
    await api("views", { name, filter: "dport:1", shared: true }).catch((error) => truth(/40\d/.test(error.message), `a name is refused with words: ${error.message}`));
  }
  await page.goto(`${URL_}/explore?from=-1h`);
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog").locator("li").nth(11).waitFor();
  await calm("in the palette");

  await clean(page);
} finally {
  await chrome.close();
}
