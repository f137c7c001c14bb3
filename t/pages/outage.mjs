// The daemon goes and comes back, the stream does not get through: the page
// says so and recovers by itself.

import { ask, becomes, chat, clean, cloud, digits, end, is, like, ok, open, poll, words } from "./harness.mjs";

const sum = (n) => n.prompt + n.completion;
const total = async () => sum((await cloud("ledger")).total);

// a first page has nothing to show, and says so

const page = await open();
await becomes(async () => words(page, "#queries .state"), "No requests yet. The first one appears here by itself.", "no requests yet");
like(await words(page, "#usage .state"), /No tokens in the last/, "no tokens yet");
await chat();
await becomes(async () => page.locator("#query-rows tr").count(), 1, "then there are");
await becomes(() => page.locator("#usage .state").isVisible(), false, "the chart as well", 6);

page.outage = true;
await ask("stop");
await becomes(async () => words(page, "#live-word"), "Offline", "without the daemon it is offline");
like(await words(page, "#trouble"), /^No numbers since .* This page goes on by itself/, "and says since when");
like(await words(page, "#dots"), /Daemon\s+does not answer/, "the daemon's dot says so");
like(await words(page, "#dots"), /Proxy\s+answers/, "the proxy's does not");
is((await chat()).status, 200, "requests go on");
await page.locator('.key[data-key="key_0"] summary').click();
await page.locator('.key[data-key="key_0"]').getByRole("button", { name: "5 min", exact: true }).click();
await becomes(async () => words(page, '.key[data-key="key_0"] .status'), "Paused by an operator", "keys can be paused meanwhile");
await page.getByRole("button", { name: "Resume key_0" }).click();

// a page that is opened meanwhile is the proxy's error, no blank one

await ask("start");
await becomes(async () => words(page, "#live-word"), "Live", "it comes back by itself", 4);
await becomes(() => page.locator("#trouble").isVisible(), false, "and says nothing any more");
await becomes(async () => digits(await words(page, "#total")), await total(), "with what was missed", 10);
await becomes(() => page.locator("#query-rows tr").count(), 2, "and each request once");
page.outage = false;
await chat();
await becomes(() => page.locator("#query-rows tr").count(), 3, "the stream goes on");
await clean(page, "outage");

// where streams do not get through, it asks

const poor = await open({ go: false });
poor.outage = true;
await poor.route("**/events*", (route) => route.abort());
await poor.goto(`${JSON.parse(process.argv[2]).url}/dashboard`);
await becomes(async () => words(poor, "#live-word"), "Every 5 s", "without a stream it asks");
await chat({ model: "asked:1b" });
await becomes(async () => poor.locator("#query-rows .q-model").first().innerText(), "asked:1b", "and is told", 8);
await poor.unroute("**/events*");
await becomes(async () => words(poor, "#live-word"), "Live", "until the stream is there", 25);
await clean(poor, "polling");

await end();
