// Recent queries: what went wrong, in what order, and how to find it.

import { ask, becomes, chat, clean, cloud, end, given, is, like, open, words } from "./harness.mjs";

const page = await open();
const rows = page.locator("#query-rows tr");
const models = () => page.locator("#query-rows .q-model").allInnerTexts();
const choose = (id, value) => page.locator(id).selectOption(value);

// an empty ledger says how to begin

await becomes(async () => /^No requests yet/.test(await words(page, "#queries .state")), true, "no requests yet");
like(await words(page, "#first-steps"), new RegExp(`${given.url}[\\s\\S]*curl .*/api/chat`), "and how to make one");

// the first one is of two hours ago

await ask("old");
await becomes(models, ["old"], "one of two hours ago");

// what the cloud said is in the row

await cloud("rules", {
  rules: [
    { match: { model: "down" }, times: -1, preset: "overloaded_503" },
    { match: { model: "once" }, times: 1, preset: "quota_session" },
  ],
});
await chat({ model: "fine" });
await chat({ model: "down" });
await chat({ model: "once" });
await becomes(models, ["once", "down", "fine", "old"], "three more");
is(await page.locator("#first-steps").isVisible(), false, "the first steps are taken");
like(await rows.nth(1).locator(".q-status").innerText(), /^503 Server overloaded, please retry shortly/, "an error says why");
like(await rows.nth(0).locator(".q-key").getAttribute("title"), /^429 on key_\d, then key_\d$/, "what was tried, whole, however narrow");

// the order is that of the ends, and so is the time

const slow = chat({ model: "slow", _sim: { first_delay_ms: 1500 } });
await chat({ model: "quick" });
await slow;
await becomes(async () => (await models()).slice(0, 2), ["slow", "quick"], "whatever ends last comes first");
const [one] = await (await fetch(`${given.url}/queries?model=slow`, { headers: { Authorization: `Bearer ${given.token}` } })).json();
const clock = await page.evaluate((t) => new Intl.DateTimeFormat("en-US", { timeStyle: "medium", timeZone: "Europe/Oslo" }).format(t),
  Date.parse(one.timestamp) + one.total_ms);
is((await rows.first().locator(".q-time").innerText()).replace(/\s/g, " "), clock.replace(/\s/g, " "), "with the time of its end");

// kinds of trouble

await chat({ model: "cut", stream: true, _sim: { words: 50, delay_ms: 2, reset_after_bytes: 600 } }).catch(() => {});
await becomes(async () => (await models())[0], "cut", "one that was cut off");
await choose("#f-status", "error");
await becomes(models, ["cut", "down"], "errors are those that the sums count");
await choose("#f-status", "broken");
await becomes(models, ["cut"], "cut off");
await choose("#f-status", "retried");
await becomes(async () => (await models()).includes("once"), true, "another key was tried");
await choose("#f-status", "client_gone");
await becomes(() => words(page, "#queries .state"), "No request of the last weeks fits these filters.", "nobody has hung up");
is(await page.locator("#first-steps").isVisible(), false, "which is no empty ledger");
const gone = new AbortController();
const left = fetch(`${given.url}/api/chat`, {
  method: "POST", signal: gone.signal, headers: { Authorization: `Bearer ${given.token}` },
  body: JSON.stringify({ model: "left", stream: true, messages: [{ role: "user", content: "hi" }], _sim: { words: 500, delay_ms: 20 } }),
});
await left;
gone.abort();
await becomes(models, ["left"], "one who does is seen at once");
await page.getByRole("button", { name: "Clear" }).first().click();

// until a time

const local = await page.evaluate(() => {
  const t = new Date(Date.now() - 3600000);
  return new Date(t - t.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
});
await page.locator("#f-until").fill(local);
await becomes(models, ["old"], "what had ended an hour ago");
await chat({ model: "later" });
await page.locator("#f-until").fill("");
await becomes(async () => (await models()).includes("later"), true, "and what has come since");

// with the keyboard: one stop of Tab, then arrows

is(await page.locator('#query-rows .link[tabindex="0"]').count(), 1, "one row is in the order of Tab");
await page.locator('#query-rows .link[tabindex="0"]').focus();
const first = await page.evaluate(() => document.activeElement.closest("tr").dataset.id);
await page.keyboard.press("ArrowDown");
await page.keyboard.press("ArrowDown");
const third = await page.evaluate(() => document.activeElement.closest("tr").dataset.id);
is(third, await rows.nth(2 + (await rows.evaluateAll((all, id) => all.findIndex((r) => r.dataset.id === id), first))).getAttribute("data-id"), "arrows go on from there");
is(await page.locator('#query-rows .link[tabindex="0"]').count(), 1, "which stays the only stop");

// a name of any length pushes nothing out

await chat({ model: `long-${"x".repeat(200)}` });
await becomes(async () => (await models())[0].length > 200, true, "a long name");
for (const width of [1440, 1180, 900, 390]) {
  await page.setViewportSize({ width, height: 900 });
  await becomes(() => page.evaluate(() => {
    const box = document.querySelector("#queries .scroll");
    const cell = document.querySelector("#query-rows .q-status .code").getBoundingClientRect();
    const total = document.querySelector("#query-rows .q-total").getBoundingClientRect();
    const right = box.getBoundingClientRect().right + 1;
    return [box.scrollWidth - box.clientWidth, cell.width < 10, total.right > right, document.body.scrollWidth > innerWidth];
  }), [0, false, false, false], `${width} px: everything is in sight`);
}

// offline, filters look through what is here

await page.setViewportSize({ width: 1440, height: 900 });
page.outage = true;
await ask("stop");
await choose("#f-status", "5xx");
await becomes(async () => [...new Set(await models())], ["down"], "without the daemon the rows at hand are filtered");
like(await words(page, "#query-note"), /Not up to date/, "and called what they are");
const late = await open({ go: false });
late.outage = true;
await late.goto(`${given.url}/dashboard`);
like(await words(late, "body"), /ollama-statsd.*is not running[\s\S]*Requests are served nevertheless/, "a page that is opened now says what is going on");
await ask("start");
await late.waitForSelector("#live.live.live", { timeout: 20000 });
await clean(late, "and comes by itself");
await becomes(async () => /live/.test(await page.locator("#live").getAttribute("class")), true, "back again", 30);
await clean(page, "queries");
await end();
