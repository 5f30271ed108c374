// People: one is invited, chooses a password, sets a second factor, may what the role allows and no more, is sent away;
// and all of that stands in the audit log.

import { createHmac } from "node:crypto";
import { TOKEN, URL_, api, browser, clean, equal, open, truth, until } from "./page.mjs";
import { variety } from "./traffic.mjs";

const PASSWORD = "seven grey herons wait";

/** The code of a secret, as an authenticator makes it (RFC 6238). */
function code(secret) {
  const bits = [...secret].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac("sha1", key).update(counter).digest();
  return String((hash.readUInt32BE(hash[19] & 15) & 0x7fffffff) % 1e6).padStart(6, "0");
}

/** Another code than the last: one counts once. */
async function fresh(secret, last) {
  await until("the next code", () => code(secret) !== last, 40);
  return code(secret);
}

const status = async (path, token) => (await fetch(`${URL_}/api/v1/${path}`, { headers: { authorization: `Bearer ${token}` } })).status;

await variety(90);
const chrome = await browser();
try {
  const admin = await open(chrome);
  await admin.goto(`${URL_}/settings?part=people`);
  await admin.getByLabel("Name").fill("ada");
  await admin.getByLabel("Role").selectOption("analyst");
  await admin.getByRole("button", { name: "Make an invitation" }).click();
  const link = await admin.locator(".once .line code").textContent();
  truth(link.startsWith(`${URL_}/#/invitation?code=`), `the link is one of this page: ${link}`);

  // the link asks for a password, and its code is nowhere in the address or the history
  const ada = await open(chrome, { signedIn: false });
  ada.expected(/status of 4\d\d/);
  await ada.goto(link);
  await ada.getByRole("heading", { name: "Choose your password" }).waitFor();
  equal(ada.url(), `${URL_}/`, "the code has left the address");
  const save = ada.getByRole("button", { name: "Save and sign in" });
  await ada.getByLabel("New password").fill("short");
  await ada.getByLabel("The same again").fill("short");
  truth(await save.isDisabled(), "a short password cannot be saved");
  await ada.getByLabel("New password").fill("password1234");
  await ada.getByLabel("The same again").fill("password1234");
  await save.click();
  await ada.getByRole("alert").waitFor();
  await ada.getByLabel("New password").fill(PASSWORD);
  await ada.getByLabel("The same again").fill(PASSWORD);
  await save.click();
  await ada.getByRole("link", { name: "ada" }).waitFor();

  // who she is, and what she may not
  await ada.getByRole("link", { name: "ada" }).click();
  await ada.getByText("by an account with a password").waitFor();
  await ada.goto(`${URL_}/settings?part=people`);
  await ada.getByText("This needs the role admin; yours is analyst.").waitFor();
  await ada.goto(`${URL_}/explore?from=-1h`);
  truth(await ada.getByRole("button", { name: "Export" }).isEnabled(), "an analyst exports");

  // a second factor
  await ada.goto(`${URL_}/settings?part=me`);
  await ada.getByLabel("Your password").fill(PASSWORD);
  await ada.getByRole("button", { name: "Set it up" }).click();
  const secret = (await ada.locator(".secret").textContent()).replace(/ /g, "");
  const first = code(secret);
  await ada.getByLabel("2. The code that it shows").fill(first);
  await ada.getByRole("button", { name: "Turn it on" }).click();
  await ada.getByText("Signing in wants a code").waitFor();
  await ada.getByRole("button", { name: "Sign out" }).click();
  await ada.getByLabel("Name").fill("ada");
  await ada.getByLabel("Password").fill("not the password");
  await ada.getByRole("button", { name: "Sign in" }).click();
  await ada.getByRole("alert").waitFor();
  await ada.getByLabel("Password").fill(PASSWORD);
  await ada.getByRole("button", { name: "Sign in" }).click();
  await ada.getByLabel("Code of your authenticator").fill(await fresh(secret, first));
  await ada.getByRole("button", { name: "Sign in" }).click();
  await ada.getByRole("link", { name: "ada" }).waitFor();

  // the role is taken down, and with it what the page offers
  await admin.getByRole("button", { name: "Done" }).click();
  await admin.getByRole("button", { name: "Change what ada may" }).click();
  await admin.getByRole("dialog").getByLabel("Role").selectOption("viewer");
  await admin.getByRole("dialog").getByLabel("Only of hosts that match").fill("host:shop-01");
  await admin.getByRole("button", { name: "Save", exact: true }).click();
  await until("the role is another", async () => (await api("users")).find((user) => user.name === "ada")?.role === "viewer");
  await ada.goto(`${URL_}/explore?from=-1h`);
  await ada.getByText("only host:shop-01").waitFor();
  truth(await ada.getByRole("button", { name: "Export" }).isDisabled(), "a viewer exports nothing");

  // a token for a program: shown once, works, and is taken back
  await admin.goto(`${URL_}/settings?part=access`);
  await admin.getByLabel("Name").fill("report");
  await admin.getByRole("button", { name: "Make a token" }).click();
  const token = await admin.locator(".once .line code").textContent();
  equal(await status("me", token), 200, "the token counts");
  await admin.getByRole("button", { name: "Revoke the token report" }).click();
  await admin.getByRole("button", { name: "Yes: Revoke the token report" }).click();
  await until("the token counts no more", async () => (await status("me", token)) === 401);

  // she is sent away, and her session with her
  await admin.goto(`${URL_}/settings?part=people`);
  await admin.getByRole("button", { name: /^Disable ada/ }).click();
  await admin.getByRole("button", { name: /^Yes: Disable ada/ }).click();
  await admin.getByRole("cell", { name: "disabled" }).waitFor();
  await ada.goto(`${URL_}/explore?from=-1h`);
  await ada.getByRole("heading", { name: "Sign in" }).waitFor();

  // and it is all written down
  await admin.goto(`${URL_}/settings?part=audit`);
  await admin.locator("tbody tr").first().waitFor();
  truth((await admin.locator("tbody").textContent()).includes("ada"), "the log speaks of her");
  await admin.getByRole("button", { name: "Verify the chain" }).click();
  await admin.getByText("entries are as they were written").waitFor();
  truth(!(await admin.locator("tbody").textContent()).includes(PASSWORD) && !(await admin.content()).includes(TOKEN), "no secret is shown");

  await clean(admin);
  await clean(ada);
} finally {
  await chrome.close();
}
