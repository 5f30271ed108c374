// Figures of the page in a real browser, one line of JSON for each. `make bench-page` starts the server, fills it and runs
// this; PAGE_MINUTES is how long the tail is watched for its memory.

import { URL_, browser, open, until } from "../../e2e/browser/page.mjs";
import { line, sender } from "../../e2e/browser/traffic.mjs";

const MINUTES = Number(process.env.PAGE_MINUTES ?? 2);
const RANGE = process.env.PAGE_RANGE ?? "from=-1h";
const PARTS = (process.env.PAGE_PARTS ?? "load,click,tail").split(",");

function figure(name, value, unit, goal, ok) {
  console.log(JSON.stringify({ figure: name, value: Math.round(value * 10) / 10, unit, goal, peer: null, peer_value: null, ok }));
}
const sorted = (values) => [...values].sort((a, b) => a - b);
const at = (values, share) => sorted(values)[Math.min(values.length - 1, Math.ceil(values.length * share) - 1)];

/** How much more from one value to the next: the line that lies best among all of them. */
function slope(values) {
  const [x, y] = [(values.length - 1) / 2, values.reduce((sum, value) => sum + value, 0) / values.length];
  const [above, below] = values.reduce(([a, b], value, i) => [a + (i - x) * (value - y), b + (i - x) ** 2], [0, 0]);
  return below ? above / below : 0;
}

/** Milliseconds from the start of a navigation until rows can be read and the bar takes letters; nothing is in a cache. */
async function loads(chrome, throttled) {
  const page = await open(chrome);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  if (throttled) {
    await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
    const rate = 10e6 / 8;
    await session.send("Network.emulateNetworkConditions", { offline: false, latency: 10, downloadThroughput: rate, uploadThroughput: rate });
  }
  await page.addInitScript(() => {
    const look = () => {
      const row = document.querySelector(".grid-row:not([hidden]) [role=gridcell]");
      if (row?.textContent && document.querySelector("#filter")) globalThis.ready = performance.now();
      else requestAnimationFrame(look);
    };
    look();
  });
  const times = [];
  for (let i = 0; i < 9; i++) {
    await page.goto(`${URL_}/explore?${RANGE}&n=${i}`);
    times.push(await until("rows can be read", () => page.evaluate(() => globalThis.ready)));
  }
  await page.context().close();
  return times;
}

/** Milliseconds from a click on `+` until the rows and the picture of the new filter are drawn. */
async function clicks(chrome) {
  const page = await open(chrome);
  const times = [];
  const calm = () => page.waitForFunction(() => document.querySelector(".grid-row:not([hidden])") && !document.querySelector(".status.stale, .picture[aria-busy=true]"));
  for (let i = 0; i < 40; i++) {
    await page.goto(`${URL_}/explore?${RANGE}`);
    await calm();
    const cell = page.locator(".grid-row:not([hidden])").nth(i % 20).locator("[role=gridcell]").nth([2, 3, 6, 9][i % 4]);
    await cell.hover({ position: { x: 6, y: 10 }, force: true }); // the tools of a cell cover its end
    await page.getByRole("button", { name: "Include this value" }).waitFor();
    times.push(
      await page.evaluate(
        () =>
          new Promise((done) => {
            const start = performance.now();
            document.querySelector('[aria-label="Include this value"]').click();
            const look = () => {
              if (document.querySelector(".status.stale, .picture[aria-busy=true]")) requestAnimationFrame(look);
              else done(performance.now() - start);
            };
            requestAnimationFrame(() => requestAnimationFrame(look));
          }),
      ),
    );
  }
  await page.context().close();
  return times;
}

/** Frames, elements and memory while 2,000 rows a second are shown. */
async function tail(chrome) {
  const page = await open(chrome);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find((m) => m.name === "JSHeapUsedSize").value / 1e6;
  };
  await page.goto(`${URL_}/explore?from=-15m&live=1`);
  await page.locator(".badge.good", { hasText: "lag" }).waitFor();

  const to = await sender();
  let sent = 0;
  const start = Date.now();
  const timer = setInterval(() => {
    const lines = [];
    for (const due = ((Date.now() - start) / 1000) * 2000; sent < due; sent++) {
      lines.push(line({ dport: 1 + (sent % 5000), src: `203.0.${sent % 250}.${sent % 253}`, prefix: `rule-${sent % 40}: ` }));
    }
    if (lines.length) void to.send(lines);
  }, 20);

  await page.waitForTimeout(5000);
  const frames = await page.evaluate(
    () =>
      new Promise((done) => {
        const times = [];
        const start = performance.now();
        let last = start;
        const frame = (now) => {
          times.push(now - last);
          last = now;
          if (now - start < 15_000) requestAnimationFrame(frame);
          else done(times.slice(1));
        };
        requestAnimationFrame(frame);
      }),
  );
  const shown = Number(/shown ([\d,]+)\/s/.exec(await page.locator(".status").textContent())[1].replace(/,/g, ""));
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  const sizes = [await heap()];
  for (let minute = 0; minute < MINUTES; minute++) {
    await page.waitForTimeout(60_000);
    sizes.push(await heap());
  }
  clearInterval(timer);
  await to.close();
  await page.context().close();
  return { frames, shown, elements, sizes };
}

const chrome = await browser(["--enable-precise-memory-info"]);
try {
  if (PARTS.includes("load")) {
    const plain = at(await loads(chrome, false), 0.5);
    figure("page: rows after navigation", plain, "ms", "<= 400", plain <= 400);
    const slow = at(await loads(chrome, true), 0.5);
    figure("page: rows after navigation, CPU a quarter and 10 Mbit", slow, "ms", "<= 1500", slow <= 1500);
  }
  if (PARTS.includes("click")) {
    const times = await clicks(chrome);
    figure("page: + to rows and histogram, p50", at(times, 0.5), "ms", null, null);
    figure("page: + to rows and histogram, p95", at(times, 0.95), "ms", "<= 300", at(times, 0.95) <= 300);
  }
  if (PARTS.includes("tail")) {
    const { frames, shown, elements, sizes } = await tail(chrome);
    const smooth = (100 * frames.filter((ms) => ms < 25).length) / frames.length;
    figure("page: rows shown in a tail", shown, "rows/s", null, null);
    figure("page: frames under 25 ms in that tail", smooth, "%", ">= 99", smooth >= 99);
    figure("page: elements in that tail", elements, "", "< 1500", elements < 1500);
    for (const minute of [2, 10, 30, MINUTES].filter((m, i, all) => m <= MINUTES && all.indexOf(m) === i)) {
      figure(`page: heap after ${minute} min of that tail`, sizes[minute], "MB", "< 150", sizes[minute] < 150);
    }
    // the ring fills in its first minute; what grows after that would grow for ever
    figure("page: growth of the heap behind its first minute", slope(sizes.slice(1)) * 60, "MB/h", null, null);
  }
} finally {
  await chrome.close();
}
