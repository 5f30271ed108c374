// What the browser tests share: a browser, and an end that says what went wrong.
//
// `node NAME.mjs` with BARTIZAN_URL and BARTIZAN_TOKEN; e2e/tests/it/browser.rs starts a server and does that. A test is
//
//     import { check, test } from "./lib.mjs";
//     test(async ({ page, url }) => { … });
//
// It fails when it throws, and when the browser had anything to complain about: errors in the console, scripts that
// threw, reports of the content security policy, requests that failed. What is expected is named in `forgive`.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { chromium } from "../../web/node_modules/playwright-core/index.mjs";

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

export const url = need("BARTIZAN_URL");
const token = need("BARTIZAN_TOKEN");

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Fails with `what`, unless it is so. */
export function check(is, what) {
  if (!is) throw new Error(what);
}

/** Where a person who has the token begins. */
export const link = `${url}/sign-in#token=${encodeURIComponent(token)}`;

/** A new browser of somebody who was never here; with what it complains of. */
export async function person(options = {}) {
  const home = await mkdtemp(join(tmpdir(), "bartizan-browser-"));
  const context = await chromium.launchPersistentContext(home, {
    executablePath: process.env.BARTIZAN_CHROMIUM ?? "/usr/bin/chromium",
    args: ARGS,
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(20_000);
  const complaints = [];
  const watch = (page) => {
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => complaints.push(`thrown: ${error.stack ?? error}`));
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText;
      // whoever changes a question takes the old one back
      if (why !== "net::ERR_ABORTED") complaints.push(`request: ${request.method()} ${request.url()}: ${why}`);
    });
  };
  context.pages().forEach(watch);
  context.on("page", watch);
  // A report of the policy may come where nobody prints it.
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
  });
  const close = async () => {
    await context.close();
    await rm(home, { recursive: true, force: true });
  };
  return { context, page: context.pages()[0] ?? (await context.newPage()), complaints, close };
}

/** Signs in by the link, as whoever started the server does. */
export async function signIn(page) {
  await page.goto(link);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

/** Runs one test, with a browser of its own; ends the program with 1 if it fails. */
export async function test(steps, { forgive = [], ...options } = {}) {
  const who = await person(options);
  try {
    await steps({ ...who, url });
    const rest = who.complaints.filter((text) => !forgive.some((known) => known.test(text)));
    check(rest.length === 0, `the browser complains:\n  ${rest.join("\n  ")}`);
  } catch (error) {
    process.exitCode = 1;
    console.error(error.stack ?? error);
    console.error(`complaints: ${JSON.stringify(who.complaints, null, 1)}`);
    console.error(`at ${who.page.url().replace(/#.*/, "")}, which shows:`);
    console.error(await who.page.locator("body").innerText().catch((e) => `nothing: ${e}`));
    const shots = process.env.BARTIZAN_SHOTS;
    if (shots) await who.page.screenshot({ path: join(shots, "failed.png") }).catch(() => {});
  } finally {
    await who.close();
  }
}
