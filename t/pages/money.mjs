// Money stands beside tokens, and what has no price beside money.

import { becomes, clean, end, is, like, ok, open, words } from "./harness.mjs";

const page = await open();
const cells = (selector) => page.locator(selector).allInnerTexts();

await becomes(() => words(page, "#cost"), "$1.20 and 3K unpriced tokens", "what a day has cost, and what has no price");
is(await page.locator("#cost").getAttribute("title"), "$1.20000004", "exactly, too");

// requests

await becomes(() => cells("#query-rows .q-cost").then((all) => [...new Set(all)]),
  ["unpriced", "$0.000000001", "$0.03"], "each request has its cost, or none");
await page.locator("#query-rows tr").first().click();
like(await words(page, "#request"), /Cost\s+unpriced: the model has no price/, "which is said in words");
await page.keyboard.press("Escape");
await page.locator("#query-rows tr").nth(3).click();
like(await words(page, "#request"), /Cost\s+\$0\.000000001/, "the cost of another one");
like(await words(page, "#request"), /Conversation\s+moved to another account/, "and its conversation");
await page.keyboard.press("Escape");

// sums

await becomes(() => cells("#sums tbody td:nth-child(3)"), ["$1.20", "3K unpriced"], "sums have both");
is(await words(page, "#sums tfoot td:nth-child(3)"), "$1.20 + 3K unpriced", "so has their total");
await page.locator('#sums [data-field="cost_usd"]').click();
is((await cells("#sums tbody td:first-child"))[0], "good", "sorted by cost");
const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#sums-csv").click()]);
const pieces = [];
for await (const piece of await download.createReadStream()) pieces.push(piece);
like(Buffer.concat(pieces).toString(), /^good,80,0,80000,40000,800,80800,1\.20000004,0\r\n/m, "exactly in the file");

// conversations

like(await words(page, "#conversations"), /Keeping saved \$4\.35 in 7 days/, "what keeping conversations gives");
is((await cells("#conversations tbody td")).join(" "), "good 40 90% 40 10% $4.35", "with the numbers behind it");
ok(!/plain/.test(await words(page, "#conversations tbody")), "a model without conversations is not in it");
await clean(page, "conversations");
await end();
