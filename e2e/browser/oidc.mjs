// People of an identity provider: they come in with what their groups give, once for each time they were sent there,
// and nobody else does.

import { provide } from "../provider/provider.mjs";
import { URL_, api, browser, clean, equal, open, truth, until } from "./page.mjs";

const { BARTIZAN_ISSUER: issuer, BARTIZAN_ISSUER_CERT: cert, BARTIZAN_ISSUER_KEY: key } = process.env;
const people = {
  anna: { preferred_username: "Anna", groups: ["staff", "dba"] },
  bob: { preferred_username: "bob", groups: ["staff"] },
  carl: { preferred_username: "carl", groups: ["admins"] },
  dora: { preferred_username: "dora", groups: ["admins"] },
};
const SECRET = "a secret: of the client";
const end = await provide({ issuer, cert, key, client: "bartizan", secret: SECRET, redirect: `${URL_}/sign-in`, people });

const button = (page) => page.getByRole("button", { name: "Sign in with Test ID" });
const told = (page, words) => page.getByRole("alert").filter({ hasText: words }).waitFor();
const user = async (name) => (await api("users")).find((user) => user.name === name);

/** A window of somebody who was never here. Whatever the provider's own pages miss is no fault of ours. */
async function stranger(chrome) {
  const page = await open(chrome, { signedIn: false });
  page.expected(/status of 4\d\d|Failed to load resource/);
  page.sent = [];
  page.on("request", (request) => request.url().startsWith(`${URL_}/sign-in?`) && page.sent.push(request.url()));
  return page;
}

/** Types a name at the provider. */
async function types(page, name) {
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("x");
  await page.locator("button[type=submit]").click();
}

const chrome = await browser();
try {
  // she comes back to where she was, with the role and the scope of the first group that gives one
  const anna = await stranger(chrome);
  await anna.goto(`${URL_}/explore?q=dport%3A22&from=-1h`);
  await button(anna).click();
  await types(anna, "anna");
  await anna.getByRole("link", { name: "anna" }).waitFor();
  truth(anna.url().startsWith(`${URL_}/explore?`) && anna.url().includes("dport%3A22"), `where she was: ${anna.url()}`);
  await anna.getByText("only host:shop-01").waitFor();
  let { role, scope, provider, last_sign_in } = await user("anna");
  equal([role, scope, provider], ["analyst", "host:shop-01", issuer], "what she may");
  truth(last_sign_in, "she was seen");
  const cookies = await anna.context().cookies(URL_);
  equal(cookies.map(({ name, sameSite, httpOnly, secure }) => [name, sameSite, httpOnly, secure]), [["__Host-bartizan", "Strict", true, true]], "cookies");
  await anna.goto(`${URL_}/settings?part=me`);
  await anna.getByText("by an account of the identity provider").waitFor();
  equal(await anna.getByLabel("Your password").count(), 0, "there is no password to change");

  // the next time with what other groups give; the provider knows her still
  people.anna.groups = ["admins"];
  await anna.getByRole("button", { name: "Sign out" }).click();
  await button(anna).click();
  await until("she is an administrator", async () => (await user("anna")).role === "admin");
  await anna.getByRole("link", { name: "anna" }).waitFor();
  ({ role, scope } = await user("anna"));
  equal([role, scope], ["admin", null], "what she may now");

  // what came along counts once, and what nobody began does not count at all
  const other = await stranger(chrome);
  for (const address of [anna.sent.at(-1), `${URL_}/sign-in?code=x&state=y`, `${anna.sent.at(-1).replace(/state=[^&]*/, "state=x")}`]) {
    await other.goto(address);
    await told(other, "this sign-in is not known");
    equal(new URL(other.url()).search, "", "the code has left the address");
  }
  const again = await anna.context().newPage();
  await again.goto(anna.sent[0]);
  await told(again, "begin again");
  await again.close();

  // nobody comes in without a group that gives something, and whoever changed his mind does not either
  await other.goto(URL_);
  await button(other).click();
  await other.getByRole("link", { name: /cancel/i }).click();
  await told(other, "Test ID did not sign you in");
  await button(other).click();
  await types(other, "bob");
  await told(other, "none of your groups there may use this server");
  equal(await user("bob"), undefined, "he has no account");

  // a name does not make an account another's
  await api("users", { name: "dora", role: "viewer" });
  const dora = await stranger(chrome);
  await dora.goto(URL_);
  await button(dora).click();
  await types(dora, "dora");
  await told(dora, "another account's here");
  equal([(await user("dora")).role, (await user("dora")).provider], ["viewer", null], "the account of that name");

  // who loses his group loses what is open, too
  people.anna.groups = [];
  const second = await stranger(chrome);
  await second.goto(URL_);
  await button(second).click();
  await types(second, "anna");
  await told(second, "none of your groups there may use this server");
  await anna.goto(`${URL_}/explore?from=-1h`);
  await anna.getByRole("heading", { name: "Sign in" }).waitFor();

  // who is shut out stays out
  const carl = await stranger(chrome);
  await carl.goto(URL_);
  await button(carl).click();
  await types(carl, "carl");
  await carl.getByRole("link", { name: "carl" }).waitFor();
  const admin = await open(chrome);
  await admin.goto(`${URL_}/settings?part=people`);
  await admin.getByText("by provider").first().waitFor();
  equal(await admin.getByRole("button", { name: "Change what carl may" }).count(), 0, "his groups say what he may");
  await admin.getByRole("button", { name: /^Disable carl/ }).click();
  await admin.getByRole("button", { name: /^Yes: Disable carl/ }).click();
  await until("he is shut out", async () => (await user("carl")).disabled);
  await carl.goto(`${URL_}/explore?from=-1h`);
  await button(carl).click();
  await told(carl, "your account here is shut out");

  // and it is all written down, but no secret
  const { entries } = await api("audit", { limit: 100 });
  const did = (what) => entries.filter((entry) => entry.what === what);
  equal(did("sign_in_oidc").map((entry) => entry.who), ["carl", "anna", "anna"], "who came in");
  equal(did("add_user").filter((entry) => entry.who === "oidc:Test ID").map((entry) => entry.about), ["carl", "anna"], "who is new");
  const [change] = did("users_change").filter((entry) => entry.who === "oidc:Test ID");
  equal([change.about, change.old.role, change.new.role], ["anna", "analyst", "admin"], "what changed");
  const refused = did("sign_in_refused").map((entry) => entry.about);
  for (const words of ["bob (bob): no group", "anna (anna): no group", "another account's here", "shut out", "did not sign you in"]) {
    truth(refused.some((about) => about.includes(words)), `${words}: ${refused}`);
  }
  const text = JSON.stringify(entries);
  const codes = [...anna.sent, ...carl.sent].map((address) => new URL(address).searchParams.get("code"));
  truth(codes.length >= 3 && codes.every((code) => code && !text.includes(code)) && !text.includes(SECRET), "no secret is told");
  for (const page of [anna, other, dora, second, carl, admin]) await clean(page);
} finally {
  await chrome.close();
  end();
}
