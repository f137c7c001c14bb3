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
is(await words(page, "#sums tfoot td:nth-child(3)"), "$1.20\n+ 3K unpriced", "so has their total");
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

// the bill: nothing of it is known here but what this says

ok(await page.locator("#bill").isHidden(), "no bill before the cloud has told of it");

const day = (account, day, theirs, ours, usd, somebody_else) =>
  ({ account, day, theirs, ours, difference: { requests: theirs.requests - ours.requests, usd }, somebody_else });

await page.route("**/stats/reconcile", (route) => route.fulfill({ json: [
  day("anna", "2026-11-26", { requests: 60, usd: 3 }, { requests: 30, usd: 0.6 }, 2.4, true),
  day("<b>bert", "2026-11-26", { requests: 5, usd: null }, { requests: 5, usd: 1.5 }, null, false),
  day("anna", "2026-11-25", { requests: 20, usd: 1 }, { requests: 20, usd: 1.25 }, -0.25, false)] }));
await page.reload();
await becomes(() => page.locator("#bill").isVisible(), true, "the bill is there once it is known");
is(await page.locator("#bill tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].slice(1).map((c) => c.innerText).join("|"))),
  ["anna|60|30|$3.00|$0.60|$2.40|used elsewhere, too", "<b>bert|5|5|–|$1.50|–|", "anna|20|20|$1.00|$1.25|−$0.25|"], "each day of an account");
is((await cells("#bill tbody td:first-child")).map((c) => c.replace(/\D/g, "")), ["26", "26", "25"], "the day is the cloud's");
ok(await page.locator("#bill-shared").isVisible(), "and that somebody else uses one");
await clean(page, "conversations and bill");
await end();
