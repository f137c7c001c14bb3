// Pictures of the page at the widths that matter, light and dark.

import { becomes, end, given, note, open } from "./harness.mjs";

for (const width of [1440, 768, 390]) {
  for (const scheme of ["light", "dark"]) {
    const page = await open({ width, scheme, height: width === 1440 ? 1180 : 900, zone: "UTC" });
    await becomes(() => page.locator("#query-rows tr").count().then((n) => n > 20), true, `${width} ${scheme}: rows`);
    await becomes(() => page.locator(".spark").count().then((n) => n > 4), true, `${width} ${scheme}: shapes`);
    await page.locator("#usage-window").getByRole("button", { name: "6h" }).click();
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${given.out}/dashboard-${width}-${scheme}.png`, fullPage: true });
    if (width === 1440 && scheme === "light") await page.screenshot({ path: `${given.out}/dashboard.png` });
    if (width === 1440) {
      await page.locator("#query-rows tr:has(.try) .link").first().click();
      await page.waitForTimeout(500);
      await page.screenshot({ path: `${given.out}/dashboard-request-${scheme}.png` });
    }
    note(`${width} ${scheme}`);
    await page.context().close();
  }
}

await end();
