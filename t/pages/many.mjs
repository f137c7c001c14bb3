// More keys than fit: groups, those in trouble first, and folds.

import { becomes, chat, clean, end, given, is, like, ok, open, words } from "./harness.mjs";

const page = await open();
const groups = () => page.locator("#key-groups details.group > summary").allInnerTexts();

await becomes(groups, ["9 keys able to serve"], "beyond six they are grouped");
const summary = page.locator("details.group > summary").first();
await summary.click();
await becomes(() => page.locator(".key:visible").count(), 0, "a group can be folded");
await summary.click();
await becomes(() => page.locator(".key:visible").count(), 9, "and unfolded");

for (const n of [7, 4]) {
  await fetch(`${given.url}/health/keys/${n}/penalize?seconds=600`, {
    method: "POST", headers: { Authorization: `Bearer ${given.token}` },
  });
}
await becomes(groups, ["Not serving: 2 (paused by an operator)", "7 keys able to serve"], "those that do not serve first", 6);
is(await page.locator("details.group").first().locator("h3").allInnerTexts(), ["key_4", "key_7"], "which are these");
like(await words(page, "#pool"), /^7 of 9 keys can serve; the next is back in \d+:\d\d min, at /, "and the line says so");
await clean(page, "many keys");

await end();
