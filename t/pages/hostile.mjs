// Markup in whatever comes from outside stays text.

import { becomes, chat, clean, end, given, is, like, ok, open, poll, words } from "./harness.mjs";

const evil = '"><img src=x onerror="hacked=1"><script>hacked=1</script>';
const page = await open();

await chat({ model: `m${evil}`, messages: [{ role: "user", content: `b${evil}` }] }, "/api/chat", { "User-Agent": `u${evil}` });
await becomes(() => page.locator("#query-rows .q-model").first().innerText(), `m${evil}`, "a model's name is text");
await page.locator("#query-rows tr").first().click();
await becomes(async () => (await words(page, "#request .view")).includes("<script>hacked=1</script>"), true, "a body is text");
await becomes(async () => (await words(page, "#request .facts")).includes(`u${evil}`), true, "a user agent is text");
await page.locator("#request input").fill("<script>");
await becomes(() => page.evaluate(() => CSS.highlights.get("found")?.size > 0), true, "marked, too");
await page.getByRole("button", { name: "Close" }).click();

// from the feed: what the module would not send, but a ledger may hold

await becomes(async () => (await page.locator("#query-rows .q-client").allInnerTexts()).some((s) => s.includes(`c${evil}`)), true, "a client's name is text");
await becomes(async () => (await page.locator("#usage-legend .name").allInnerTexts()).some((s) => s.includes(evil)), true, "in the legend", 6);
await page.locator("#usage-by").getByRole("button", { name: "client" }).click();
await becomes(async () => (await page.locator("#usage-legend .name").allInnerTexts()).some((s) => s.includes(`c${evil}`)), true, "for clients", 6);
await page.locator("#usage .behind summary").click();
await becomes(async () => (await page.locator("#usage .behind thead").innerText()).includes(evil), true, "in the table behind");
await page.locator("#sums-by").selectOption("all");
await becomes(async () => (await page.locator("#sums tbody").innerText()).includes(`c${evil}`), true, "in the sums");
await page.locator("#log-search").fill("<img");
await becomes(async () => (await page.locator(".line:visible span").allInnerTexts()).some((s) => s.includes(`l${evil}`)), true, "in the log");
await page.mouse.move(700, 500);
is(await page.locator("main img, main script, dialog img, dialog script").count(), 0, "no element came of it");
const options = await page.locator("#l-model option").evaluateAll((all) => all.map((o) => o.value));
ok(options.includes(`m${evil}`), "nor in the lists to choose from");

const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#sums-csv").click()]);
const pieces = [];
for await (const piece of await download.createReadStream()) pieces.push(piece);
const csv = Buffer.concat(pieces).toString();
like(csv, /,'=1\+1,/, "a spreadsheet gets no formula");
await clean(page, "markup");

// twenty models and more

const many = await open();
await becomes(async () => (await many.locator("#usage-legend li").count()) > 20, true, "twenty series have a legend", 6);
like(await many.locator("#usage-legend li:last-child .name").innerText(), /others$/, "the rest is one");
const colours = await many.locator("#usage-legend i").evaluateAll((all) => all.map((i) => i.style.backgroundColor));
is(new Set(colours).size, colours.length, "each has a colour of its own");
await clean(many, "many models");

await end();
