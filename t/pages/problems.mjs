// What somebody has to have seen stands below the head until they say so.

import { accessible } from "./axe.mjs";
import { ask, becomes, clean, end, given, is, like, ok, open, words } from "./harness.mjs";

const lines = (page) => page.locator("#problems .problem").count();

// as it looks

for (const [width, scheme] of [[1440, "light"], [1440, "dark"], [390, "light"], [390, "dark"]]) {
  const page = await open({ width, scheme });
  await becomes(() => lines(page), 1, `${width} ${scheme}: a damaged ledger is told`);
  await accessible(page, `${width} ${scheme}`);
  is(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${width} ${scheme}: it fits`);
  if (given.out) await page.screenshot({ path: `${given.out}/problem-${width}-${scheme}.png` });
  await clean(page, `${width} ${scheme}`);
}

const page = await open();
const other = await open();
await becomes(() => lines(page), 1, "it is there");
like(await words(page, "#problems"), /ledger was damaged.*usage\.db\.damaged-.*saved: .*lost: /s, "in words");
is(await page.locator("#trouble").isVisible(), false, "and told once");
like(await words(page, "#dots"), /Daemon\s+has problems/, "the daemon's dot says so");

// a press that does not get through

page.outage = true;
await page.route("**/acknowledge", (route) => route.abort());
await page.getByRole("button", { name: "Acknowledge" }).click();
await becomes(() => page.locator(".toast.bad").count(), 1, "not acknowledged: it is said");
is(await lines(page), 1, "and it stands");
await page.unroute("**/acknowledge");
page.outage = false;

// by keyboard

await page.getByRole("button", { name: "Acknowledge" }).focus();
await page.keyboard.press("Enter");
await becomes(() => lines(page), 0, "acknowledged: it is gone");
is(await page.locator("#problems").isVisible(), false, "with its place");
await becomes(() => page.evaluate(() => document.activeElement.id), "live", "the focus is not lost");
await becomes(() => lines(other), 0, "on other pages, too");
await becomes(async () => /Daemon\s+answers/.test(await words(other, "#dots")), true, "and the daemon is well");
await clean(page, "page");
await clean(other, "other page");

const again = await open();
ok(await ask("gone"), "the daemon knows");
is(await lines(again), 0, "a new page does not show it");
await clean(again, "again");

await end();
