// From a token to a rule that has changed: a host is enrolled by the wizard, its first event is found, its rule is read,
// changed, and read again as it was.

import { URL_, api, browser, clean, counts, filter, open, truth, until } from "./page.mjs";
import { leave, say } from "./stage.mjs";

const chrome = await browser();
try {
  const page = await open(chrome);
  const total = async () => (await counts(page)).at(-1);

  // the wizard
  await page.goto(`${URL_}/fleet?enrol`);
  await page.getByLabel("Name in the fleet").fill("edge-01");
  await page.getByRole("button", { name: "Make a token" }).click();
  const command = await page.locator(".command code").textContent();
  await say(`enrol ${command}`);
  await page.getByText("is enrolled", { exact: false }).first().waitFor();
  await say("packets 9 20");
  await page.getByText("its first event is here", { exact: false }).waitFor();
  await page.getByRole("link", { name: "See its events" }).click();
  await until("its events are shown", async () => filter(page) === "host:edge-01" && (await total()) === 20);

  // its rule, at the event
  const range = "from=-1h";
  await page.goto(`${URL_}/explore?q=host:edge-01&${range}`);
  await page.locator(".grid-row [role=gridcell]").first().dblclick();
  const event = page.locator("aside");
  await event.getByText("udp dport 9 counter", { exact: false }).first().waitFor();
  await event.getByText("unchanged since").waitFor();
  const address = page.url();

  // the rule is changed on the host, and the event keeps the one that logged it
  await say("rules changed");
  await until(
    "the change is known",
    async () => {
      await page.goto(address);
      await event.getByText("udp dport 9 counter", { exact: false }).first().waitFor();
      return (await event.getByText("unchanged since").count()) === 0 && (await event.locator(".badge").count()) > 0;
    },
    60,
  );
  truth((await event.innerText()).includes("udp-drop"), "the old text is kept");

  // what comes now has the new one, and the host's rules show what changed
  await say("packets 9 6");
  const refused = 'host:edge-01 prefix:"udp-refused"';
  await until("they have arrived", async () => (await api("count", { filter: refused })).rows === 6);
  await page.goto(`${URL_}/explore?q=${encodeURIComponent(refused)}&${range}`);
  await until("events of the new rule", async () => (await total()) === 6);
  await page.goto(`${URL_}/rules/edge-01`);
  await page.getByText("udp-refused", { exact: false }).first().waitFor();
  await page.goto(`${URL_}/fleet/edge-01`);
  await page.getByRole("heading", { name: "edge-01" }).waitFor();
  await clean(page);

  // it is trusted no more, comes back, and waits until somebody approves
  const sure = async (what, about) => {
    await page.getByRole("button", { name: about }).click();
    await page.getByRole("button", { name: `Yes: ${about}` }).click();
    await page.locator(".state .word", { hasText: what }).waitFor();
  };
  await sure("revoked", "Trust edge-01 no more");
  const { token } = await api("tokens", { uses: 1, ttl_seconds: 600, approval: true });
  await say(`again ${token}`);
  await page.getByText("It waits because", { exact: false }).waitFor();
  await page.getByRole("button", { name: "Let edge-01 send" }).click();
  await page.getByRole("button", { name: "Yes: Let edge-01 send" }).click();
  await page.getByText("It waits because", { exact: false }).waitFor({ state: "detached" });
  await clean(page);

  // who only looks sees no button that would be refused
  const made = await api("access", { name: "looker", role: "viewer", days: 1 });
  const viewer = await open(chrome, { signedIn: false });
  await viewer.goto(`${URL_}/sign-in#token=${made.token}`);
  // who goes on earlier takes the question back
  await viewer.getByRole("heading", { name: "Overview" }).waitFor();
  await viewer.goto(`${URL_}/fleet/edge-01`);
  await viewer.getByText("last contact").waitFor();
  await viewer.getByText("looker", { exact: false }).first().waitFor();
  truth((await viewer.getByRole("button", { name: "edge-01" }).count()) === 0, "a viewer changes no host");
  await viewer.goto(`${URL_}/settings?part=store`);
  const verify = viewer.getByRole("button", { name: "Compare log and files" });
  await verify.waitFor();
  truth(await verify.isDisabled(), "a viewer begins no work on the store");
} finally {
  await chrome.close();
  leave();
}
