// What every test of the page uses: Debian's Chromium, a session, and ears for what must never happen.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const WEB = join(dirname(fileURLToPath(import.meta.url)), "../../web");
const require = createRequire(join(WEB, "package.json"));
const { chromium } = require("playwright-core");

export const URL_ = process.env.BARTIZAN_URL;
export const TOKEN = process.env.BARTIZAN_TOKEN;

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser of its own, with nothing in it. */
export const browser = (more = []) => chromium.launch({ executablePath: "/usr/bin/chromium", args: [...ARGS, ...more] });

/**
 * A signed-in window. Whatever its console calls an error, whatever a script throws and whatever the policy of the page
 * forbids is an entry of `page.faults`; an answer that a test provokes is let through by `page.expected(/…/)`.
 */
export async function open(of, options = {}) {
  const context = await of.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.faults = [];
  const allowed = [];
  page.expected = (pattern) => allowed.push(pattern);
  const fault = (text) => allowed.some((pattern) => pattern.test(text)) || page.faults.push(text);
  page.on("console", (message) => message.type() === "error" && fault(`console: ${message.text()}`));
  page.on("pageerror", (error) => fault(`script: ${error.message}`));
  await page.addInitScript(() => {
    globalThis.forbidden = [];
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.forbidden.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  if (options.signedIn !== false) {
    await page.goto(`${URL_}/sign-in#token=${encodeURIComponent(TOKEN)}`);
    // the frame is drawn when the server has answered; whoever goes on earlier takes the question back
    await page.waitForFunction(() => location.hash === "" && location.pathname === "/" && document.querySelector("header"));
    if (await page.getByRole("heading", { name: "Sign in" }).count()) throw new Error(`not signed in: ${page.faults}`);
  }
  return page;
}

/** Nothing that must not happen has happened. */
export async function clean(page) {
  const forbidden = await page.evaluate(() => globalThis.forbidden);
  equal([...page.faults, ...forbidden.map((text) => `policy: ${text}`)], [], "faults of the page");
}

/** Asks the server itself, to compare with what the page shows. */
export async function api(path, body) {
  const options = { headers: { authorization: `Bearer ${TOKEN}` } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`${URL_}/api/v1/${path}`, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  const text = await answer.text();
  return text.includes("\n") ? text.trim().split("\n").map((line) => JSON.parse(line)) : JSON.parse(text);
}

export function equal(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a}, and not ${b}`);
}

export function truth(value, what) {
  if (!value) throw new Error(`not so: ${what}`);
}

/** Waits until something is true, and says what did not become so. */
export async function until(what, test, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    try {
      last = await test();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    await new Promise((later) => setTimeout(later, 50));
  }
  throw new Error(`within ${seconds} s did not come true: ${what} (last: ${last})`);
}

/** The number before "of N events" and N. */
export async function counts(page) {
  const bold = await page.locator(".status b").allTextContents();
  return bold.map((text) => Number(text.replace(/,/g, "")));
}

/** The filter that is asked now. */
export const filter = (page) => new URL(page.url()).searchParams.get("q") ?? "";
