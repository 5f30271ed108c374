// The page loads, signs in by the link it is given, and out again.

import { URL_, browser, clean, equal, open, until } from "./page.mjs";

const chrome = await browser();
try {
  const page = await open(chrome);
  equal(page.url(), `${URL_}/`, "the token has left the address");
  equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })).then((kept) => /token/i.test(kept)), false, "a token is kept");
  equal(await page.evaluate(() => document.cookie), "", "what scripts see of cookies");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await clean(page);
  page.expected(/status of 401/);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto(`${URL_}/explore`);
  await until("signed out for good", () => page.getByRole("heading", { name: "Sign in" }).isVisible());
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await clean(page);
} finally {
  await chrome.close();
}
