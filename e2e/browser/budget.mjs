// What the page may weigh: bytes and requests of the first load, and elements, whatever there is to show. Times are not
// for a test; `make bench-page` prints them.

import { URL_, browser, clean, counts, open, truth, until } from "./page.mjs";
import { line, stream } from "./traffic.mjs";

const BYTES = 120 * 1024;
const REQUESTS = 8;
const ELEMENTS = 1500;

const chrome = await browser();
try {
  await stream(1000, 3, (n) => line({ dport: 1 + (n % 5000), src: `203.0.113.${n % 250}`, prefix: `rule-${n % 40}: ` }));
  const page = await open(chrome);

  // the first load, as a browser that was never here sees it: encoded bytes as they come over the wire
  // from an empty page: the overview that signing in led to may still ask for something
  await page.goto("about:blank");
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.clearBrowserCache");
  let bytes = 0;
  const requests = new Map();
  session.on("Network.requestWillBeSent", ({ requestId, request }) => request.url.startsWith("data:") || requests.set(requestId, request.url));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (requests.has(requestId) && !requests.get(requestId).includes("/api/")) bytes += encodedDataLength;
  });
  await page.goto(`${URL_}/explore?from=-1h`);
  await until("everything is there", async () => (await counts(page)).at(-1) >= 2500 && (await page.locator(".facets li").count()) > 10);
  await page.waitForTimeout(500);
  truth(bytes > 10_000, "bytes were counted");
  truth(bytes <= BYTES, `the first load is ${bytes} bytes, and may be ${BYTES}`);
  truth(requests.size <= REQUESTS, `the first load is ${requests.size} requests, and may be ${REQUESTS}: ${[...requests.values()].join(" ")}`);

  // a large window, all facets, thousands of rows; then a tail
  await page.setViewportSize({ width: 2560, height: 1440 });
  await page.locator(".grid").focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press("End");
  const elements = () => page.evaluate(() => document.querySelectorAll("*").length);
  truth((await elements()) <= ELEMENTS, `${await elements()} elements, and may be ${ELEMENTS}`);
  await page.keyboard.press("L");
  await stream(1000, 4, (n) => line({ dport: 1 + (n % 5000) }));
  truth((await elements()) <= ELEMENTS, `${await elements()} elements under a tail, and may be ${ELEMENTS}`);
  process.stdout.write(`first load: ${bytes} bytes, ${requests.size} requests; ${await elements()} elements\n`);
  await clean(page);
} finally {
  await chrome.close();
}
