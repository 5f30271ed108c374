// The page loads, signs in by the link, keeps no token where scripts can read it, and signs out.

import { TOKEN, URL_, browser, clean, equal, open, truth, until } from "./page.mjs";

const chrome = await browser();
try {
  const page = await open(chrome, { signedIn: false });
  page.expected(/status of 401/);
  const answer = await page.goto(URL_);
  equal(answer.status(), 200, "the status of /");
  truth(answer.headers()["content-security-policy"]?.includes("require-trusted-types-for"), "there is a policy");
  equal(answer.headers()["content-encoding"], "br", "how the page is packed");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();

  // a wrong token, and the link
  await page.getByRole("button", { name: "With a token" }).click();
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.goto("about:blank");
  await page.goto(`${URL_}/sign-in#token=${encodeURIComponent(TOKEN)}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  equal(page.url(), `${URL_}/`, "the token has left the address");
  equal(await page.evaluate(() => document.cookie), "", "what scripts see of cookies");
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state]));
  truth(!kept.includes(TOKEN), "no script can read the token");
  const [cookie, ...more] = await page.context().cookies();
  equal([cookie?.name, more.length], ["__Host-bartizan", 0], "cookies");
  equal([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, "Strict", "/"], "how the cookie is kept");
  truth(cookie.value !== TOKEN, "the cookie is not the token");

  // the session is there for another window, and ends for all
  const other = await page.context().newPage();
  await other.goto(`${URL_}/explore`);
  await other.locator(".grid").waitFor();
  await other.close();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await until("the cookie is gone", async () => (await page.context().cookies()).length === 0);
  await page.goto(`${URL_}/explore`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await clean(page);
} finally {
  await chrome.close();
}
