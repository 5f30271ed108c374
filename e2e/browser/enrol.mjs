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
} finally {
  await chrome.close();
  leave();
}
