// Every panel says what the simulator's ledger says, and what is done in a
// panel is seen in the traffic.

import { ask, becomes, browser, chat, clean, cloud, digits, end, given, is, like, ok, open, poll, words } from "./harness.mjs";

// no token, no page; Basic brings it

const refused = await fetch(`${given.url}/dashboard`, { headers: { Accept: "text/html" } });
is(refused.status, 401, "a stranger is asked to log in");
like(refused.headers.get("www-authenticate") ?? "", /^Basic /, "by Basic");

const stream = await fetch(`${given.url}/events`, { headers: { Authorization: `Bearer ${given.token}` } });
is(stream.headers.get("x-accel-buffering"), "no", "another nginx in front is told not to hold the stream back");
await stream.body.cancel();

const models = ["gpt-oss:20b", "gpt-oss:120b", "qwen3-coder:480b"];
for (let i = 0; i < 12; i++) await chat({ model: models[i % 3], _sim: { words: 5 + i } });
await chat({ model: "gpt-oss:20b", _sim: { words: 4, cached: true } });

const page = await open();
const ledger = () => cloud("ledger");
const sum = (n) => n.prompt + n.completion;

// tokens and sums

const before = await ledger();
await becomes(async () => digits(await words(page, "#total")), sum(before.total), "tokens of 24 h are the ledger's");
await becomes(async () => digits(await words(page, '[data-kind="prompt"] dd')), before.total.prompt, "prompt tokens");
await becomes(async () => digits(await words(page, '[data-kind="completion"] dd')), before.total.completion, "completion tokens");
like(await words(page, '[data-kind="cached"] dd'), new RegExp(`^${before.total.cached}\\b`), "cached tokens");
is(digits(await words(page, '[data-kind="requests"] dd')), 13, "requests");

async function sums() {
  return page.locator("#sums tbody tr").evaluateAll((rows) => rows.map((row) =>
    [row.cells[0].innerText, Number(row.cells[1].innerText.replace(/\D/g, ""))]));
}

function byModel(all) {
  const list = new Map();
  for (const key of Object.values(all.keys)) {
    for (const [model, n] of Object.entries(key.models)) list.set(model, (list.get(model) ?? 0) + sum(n));
  }
  return [...list].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

await becomes(sums, byModel(before), "sums by model, the greatest first");
is(digits(await words(page, "#sums tfoot td:nth-child(2)")), sum(before.total), "and their total");
await page.locator('#sums [data-field="model"]').click();
is((await sums()).map(([m]) => m), [...models].sort(), "sorted by name");
is(await page.locator('#sums th[aria-sort="ascending"]').innerText(), "Model", "which is said");
await page.locator("#sums-by").selectOption("client");
await becomes(async () => (await sums()).map(([c]) => c), ["127.0.0.1"], "by client there is one");

const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#sums-csv").click()]);
const csv = await (async () => {
  const pieces = [];
  for await (const piece of await download.createReadStream()) pieces.push(piece);
  return Buffer.concat(pieces).toString();
})();
is(csv.split("\r\n")[0], "\ufeffclient_name,client_ip,requests,errors,prompt_tokens,cached_tokens,completion_tokens,total,cost_usd,unpriced_tokens", "CSV has a head");
like(csv, new RegExp(`^,127\\.0\\.0\\.1,13,0,.*,${sum(before.total)},0,${sum(before.total)}\r\n$`, "m"), "and the sums");
await page.locator("#sums-by").selectOption("model");

// keys

const names = ["key_0", "key_1", "key_2"];
for (const [i, key] of given.keys.entries()) {
  const card = page.locator(`.key[data-key="${names[i]}"]`);
  await becomes(async () => digits(await card.locator("dd span").first().getAttribute("title")),
    before.keys[key] ? sum(before.keys[key]) : 0, `${names[i]}: its tokens of 2 h`);
  like(await card.innerText(), /Healthy/, `${names[i]}: its state in words`);
}
like(await words(page, "#pool"), /3 keys, all able to serve/, "and of all of them");
ok(!(await page.content()).match(/testKeyTestKey/), "no key's value is in the page");

// a request appears within a second

const rows = () => page.locator("#query-rows tr").count();
const had = await rows();
is(had, 13, "thirteen requests are listed");
await chat({ model: "gpt-oss:120b", _sim: { words: 9 } });
const sent = Date.now();
await page.waitForFunction((n) => document.querySelectorAll("#query-rows tr").length > n, had, { polling: 20 });
ok(Date.now() - sent < 1000, `a request appears within a second (${Date.now() - sent} ms)`, Date.now() - sent);
const first = page.locator("#query-rows tr").first();
is(await first.locator(".q-model").innerText(), "gpt-oss:120b", "its model");
is(digits(await first.locator(".q-completion").innerText()), 9, "its tokens");
const after = await ledger();
await becomes(async () => digits(await words(page, "#total")), sum(after.total), "the sum follows");

// the viewer's zone and numbers

const shown = await first.locator(".q-time").innerText();
const oslo = await page.evaluate((id) => new Intl.DateTimeFormat("en-US", { timeStyle: "medium", timeZone: "Europe/Oslo" })
  .format(new Date(id)), (await (await fetch(`${given.url}/queries?limit=1`, { headers: { Authorization: `Bearer ${given.token}` } })).json())[0].timestamp);
is(shown.replace(/\s/g, " "), oslo.replace(/\s/g, " "), "times are the viewer's");

// a key is paused: page and traffic

const card = page.locator('.key[data-key="key_0"]');
await card.locator("summary").click();
await card.getByRole("button", { name: "15 min" }).click();
await becomes(async () => (await words(page, ".key[data-key=key_0] .status")), "Paused by an operator", "a pause is seen in the card");
like(await words(page, "#toasts"), /key_0 is paused for 15 min/, "and confirmed");
like(await words(page, ".key[data-key=key_0] .back"), /back in (15:00|14:\d\d) min/, "with its end");
like(await words(page, "#pool"), /2 of 3 keys can serve; the next is back in/, "and counted");
const atPause = (await ledger()).keys[given.keys[0]]?.requests ?? 0;
for (let i = 0; i < 6; i++) await chat();
is((await ledger()).keys[given.keys[0]]?.requests ?? 0, atPause, "the key serves nothing");
await becomes(async () => /key_0 paused by an operator, until/.test(await words(page, "#now-events")), true, "what is held against keys is listed");

await card.getByRole("button", { name: "Resume key_0" }).click();
await becomes(async () => (await words(page, ".key[data-key=key_0] .status")), "Healthy", "reset is seen");
for (let i = 0; i < 6; i++) await chat();
ok(((await ledger()).keys[given.keys[0]]?.requests ?? 0) > atPause, "and the key serves again");

// the other way round: what the cloud does to a key is seen by itself

await cloud("rules", { rules: [{ match: { key: given.keys[1] }, times: 1, preset: "quota_session" }] });
for (let i = 0; i < 6 && !/quota/.test(await words(page, ".key[data-key=key_1] .status")); i++) await chat();
await becomes(async () => (await words(page, ".key[data-key=key_1] .status")), "Its quota is used up", "a used-up quota is seen", 5);
const tried = page.locator("#query-rows tr", { has: page.locator(".try") }).first();
await tried.waitFor();
like(await tried.locator(".q-key").innerText(), /^429 on key_1, then key_[02]$/, "and what was tried for whom");
await cloud("rules", { rules: [{ match: { key: given.keys[2], model: "glm-4.6" }, times: -1, preset: "model_403" }] });
for (let i = 0; i < 4; i++) await chat({ model: "glm-4.6" });
await becomes(async () => (await page.locator(".key[data-key=key_2] .blocked li").allInnerTexts()), ["not glm-4.6"], "a model that a key may not serve");

// the pool is short

for (const n of [0, 2]) {
  const one = page.locator(`.key[data-key="key_${n}"]`);
  await one.locator("summary").click();
  await one.getByRole("button", { name: "5 min", exact: true }).click();
  if (n === 2) await one.getByRole("button", { name: "Pause it for 5 min" }).click(); // the last one
  await becomes(async () => (await words(page, `.key[data-key=key_${n}] .status`)), "Paused by an operator", `key_${n} is paused`);
}
await becomes(async () => /^The pool is short: no key can serve; the next is back in .* at \d/.test(await words(page, "#pool")), true, "a pool that is short says until when");
for (const n of [0, 1, 2]) {
  await page.getByRole("button", { name: `${n === 1 ? "Reset" : "Resume"} key_${n}` }).click();
  await becomes(async () => (await words(page, `.key[data-key=key_${n}] .status`)), "Healthy", `key_${n} is back`);
}

// right now

const list = page.locator("#running li");
const part = (name) => list.first().locator(`.${name}`).innerText();
const running = fetch(`${given.url}/api/chat`, {
  method: "POST",
  headers: { Authorization: `Bearer ${given.token}`, "X-Ollama-Client": "anna" },
  body: JSON.stringify({
    model: "gpt-oss:20b", messages: [{ role: "user", content: "hi" }], stream: true,
    _sim: { words: 300, delay_ms: 25, first_delay_ms: 1200 },
  }),
});
await becomes(() => list.count(), 1, "a request that runs is listed", 1.5);
is(await part("phase"), "waiting for the cloud", "where it is");
is(await part("model"), "gpt-oss:20b", "its model");
is(await part("client"), "anna (127.0.0.1)", "its client");
const runs = await part("served");
ok(names.includes(runs), "its key", runs);
await becomes(async () => digits(await page.locator("#now-figures dd").first().innerText()), 1, "and counted");
await becomes(async () => /^1/.test(await page.locator(`.key[data-key="${runs}"] dd`).nth(1).innerText()), true, "and seen at its key");
await becomes(() => part("phase"), "streaming", "then it streams", 3);
await becomes(async () => digits(await part("tokens")) > 20, true, "its tokens are counted", 4);
const tokens = digits(await part("tokens"));
const seconds = Number.parseFloat(await part("age"));
await becomes(async () => digits(await part("tokens")) > tokens, true, "and grow", 3);
await becomes(async () => Number.parseFloat(await part("age")) > seconds, true, "as its seconds do", 3);
await page.locator("#live").click();
await chat({ _sim: { first_delay_ms: 700 } });
is(await list.count(), 1, "a paused page lists nothing new");
await page.locator("#live").click();
await becomes(() => list.count(), 0, "a request that has ended is gone", 12);
await (await running).text();
like(await words(page, "#now"), /No request runs at this moment/, "and the page says so");
await becomes(async () => digits(await page.locator("#now-figures dd").first().innerText()), 0, "the figure, too");

// windows and filters

const label = () => page.locator("#usage-chart").getAttribute("aria-label");
for (const [word, n] of [["10m", 10], ["60m", 60], ["2h", 60], ["4h", 48], ["6h", 72], ["12h", 72], ["24h", 72]]) {
  await page.locator("#usage-window").getByRole("button", { name: word, exact: true }).click();
  await becomes(async () => (await label()).includes(`last ${word}:`), true, `window ${word}`);
  const bars = await page.evaluate(() => globalThis.Chart.getChart("usage-chart").data.labels.length);
  ok(bars >= n && bars <= n + 1, `${word}: ${bars} bars`, bars);
}
const total = sum((await ledger()).total);
const inAll = async () => digits((await label()).match(/: ([\d,]+) in all/)[1]);
await becomes(inAll, total, "the chart's sum is the ledger's", 6);
const legend = () => page.locator("#usage-legend .name").allInnerTexts();
is((await legend()).sort(), [...models, "glm-4.6"].sort(), "a series for each model");
await page.locator("#usage-legend button").first().click();
ok(await inAll() < total, "a series can be hidden");
await page.locator("#usage .behind summary").click();
await becomes(() => page.locator("#usage .behind thead th").count(), 2 + 3, "in the table behind, too");
await page.locator("#usage-by").getByRole("button", { name: "key" }).click();
await becomes(async () => (await legend()).sort(), names, "by key");
await page.locator("#usage-by").getByRole("button", { name: "client" }).click();
await becomes(async () => (await legend()).sort(), ["127.0.0.1", "anna"], "by client");
await page.locator("#usage .behind tbody tr").first().waitFor();
const table = await page.locator("#usage .behind tbody tr td:nth-child(2)").allInnerTexts();
await becomes(async () => (await page.locator("#usage .behind tbody tr td:nth-child(2)").allInnerTexts())
  .reduce((n, s) => n + digits(s), 0), total, "the table behind adds up to it");
ok(table.some((s) => s === "0"), "with zeros where nothing was");

await page.locator("#f-model").fill("glm-4.6");
await becomes(async () => [...new Set(await page.locator("#query-rows .q-model").allInnerTexts())], ["glm-4.6"], "filter by model");
await chat({ model: "gpt-oss:20b" });
await chat({ model: "glm-4.6", _sim: { words: 33 } });
await becomes(async () => digits(await page.locator("#query-rows .q-completion").first().innerText()), 33, "which new ones pass, too");
is([...new Set(await page.locator("#query-rows .q-model").allInnerTexts())], ["glm-4.6"], "or do not");
await page.getByRole("button", { name: "Clear" }).first().click();
await page.locator("#f-key").selectOption({ label: "key_2" });
await becomes(async () => [...new Set(await page.locator("#query-rows .key-name").allInnerTexts())], ["key_2"], "filter by key");
await page.locator("#f-key").selectOption("");
await page.locator("#f-client").fill("10.9.9.9");
await becomes(async () => words(page, "#queries .state"), "No request of the last weeks fits these filters.", "filter by client");
await page.locator("#f-client").fill("anna");
await becomes(async () => page.locator("#query-rows .q-client").allInnerTexts(), ["anna (127.0.0.1)"], "or by the name it gives itself");
await page.locator("#f-client").fill("");
await cloud("rules", { rules: [{ match: { model: "gone" }, times: -1, preset: "not_found_404" }] });
await chat({ model: "gone" });
await page.locator("#f-status").selectOption("error");
await becomes(async () => page.locator("#query-rows .code").allInnerTexts(), ["404"], "filter by status");
await page.locator("#f-status").selectOption("");

// a request, opened with the keyboard

await chat({ model: "gpt-oss:20b", messages: [{ role: "user", content: "needle in a haystack, Needle" }], _sim: { first_delay_ms: 30 } });
await becomes(async () => page.locator("#query-rows .q-model").first().innerText(), "gpt-oss:20b", "one more");
await page.locator("#query-rows .link").first().focus();
await page.keyboard.press("Enter");
const dialog = page.locator("#request");
await dialog.waitFor();
const body = dialog.locator(".view");
await dialog.getByRole("button", { name: "JSON" }).click();
await becomes(async () => (await body.innerText()).includes('"content": "needle in a haystack, Needle"'), true, "the body is shown, indented");
await dialog.locator("input").fill("needle");
await becomes(() => page.evaluate(() => CSS.highlights.get("found")?.size), 2, "searched");
like(await dialog.locator(".body .find").innerText(), /1 of 2/, "and counted");
like(await dialog.locator(".facts").innerText(), /gpt-oss:20b[\s\S]*200, answered/, "with its facts");
like(await dialog.locator(".times").getAttribute("aria-label"), /waited for the answer \d+ ms/, "and its times");
await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
await dialog.getByRole("button", { name: "Copy" }).click();
await becomes(async () => (await page.evaluate(() => navigator.clipboard.readText())).includes("haystack"), true, "and copied");
await page.keyboard.press("Escape");
await becomes(() => dialog.isVisible(), false, "Escape closes it");
await chat({ messages: [{ role: "user", content: "x".repeat(3 << 20) }] });
await becomes(async () => digits(await page.locator("#query-rows .q-prompt").first().innerText()) > 500000, true, "a large one");
await page.locator("#query-rows tr").first().click();
await becomes(async () => /the beginning of 3 MiB: the rest was not kept/.test(await dialog.innerText()), true, "a body that was cut says so");
await page.keyboard.press("Escape");

// logs

await page.locator("#log-search").fill("are read again");
await ask("hup");
await becomes(async () => (await page.locator(".line:visible span").allInnerTexts()).at(-1), "SIGHUP: log, pages and configuration are read again", "a line of the log streams in", 3);
await page.locator("#log-level").selectOption("error");
await becomes(async () => words(page, "#logs .state"), "No line fits these filters.", "levels are filtered");
await page.locator("#log-level").selectOption("info");
await page.locator("#log-pause").click();
const lines = await page.locator(".line:visible").count();
await ask("hup");
await becomes(async () => /[12] new while paused/.test(await words(page, "#log-note")), true, "a pause holds them back");
is(await page.locator(".line:visible").count(), lines, "really");
await page.locator("#log-pause").click();
await becomes(() => page.locator(".line:visible").count(), lines + 1, "and lets them go");
await page.locator("#log-clear").click();
is(await page.locator(".line").count(), 0, "they can be cleared");

// a pause of the page

await page.locator("#live").click();
const still = await words(page, "#total");
await chat();
await new Promise((resolve) => setTimeout(resolve, 1500));
is(await words(page, "#total"), still, "a paused page stands still");
await page.locator("#live").click();
await becomes(async () => digits(await words(page, "#total")), sum((await ledger()).total), "and catches up");

// light, dark, kept

await page.locator("#theme").click();
const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
is(await words(page, "#theme"), "Theme: dark", "dark");
await page.reload();
is(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), dark, "and kept so");

await clean(page, "panels");

const german = await open({ locale: "de-DE", zone: "America/New_York" });
await becomes(async () => /^\d{3}\.\d{3}$/.test(await words(german, "#total")), true, "numbers are the viewer's");
await clean(german, "another viewer");

await end();
