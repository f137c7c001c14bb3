// The head, the keys, what runs, the log's lines; what the page says while
// somebody does not answer, and many pages at once. In parts: each has a proxy
// of its own, see t/dashboard-keys.t.

import { accessible } from "./axe.mjs";
import { ask, becomes, chat, clean, cloud, digits, end, given, is, like, note, ok, open, poll, words } from "./harness.mjs";

const parts = { few, away, many, pages };

const headers = { Authorization: `Bearer ${given.token}` };
const health = async () => (await fetch(`${given.url}/health/keys`, { headers })).json();
const act = (n, what) => fetch(`${given.url}/health/keys/${n}/${what}`, { method: "POST", headers });
const focused = (page) => page.evaluate(() => document.activeElement.getAttribute("aria-label")
  ?? document.activeElement.textContent ?? document.activeElement.nodeName);
const name = (page, n, field) => page.locator(`.key[data-key="key_${n}"] ${field}`);
const isState = (page, n, wanted, why) =>
  becomes(() => name(page, n, ".status").innerText(), wanted, why);
const inside = (page, inner, outer) => page.evaluate(([a, b]) => {
  const [x, y] = [a, b].map((one) => document.querySelector(one).getBoundingClientRect());
  return x.width > 0 && x.left >= y.left && x.right <= y.right;
}, [inner, outer]);
const held = { method: "POST", headers, signal: AbortSignal.timeout(60000) };
const long = (more = {}) => fetch(`${given.url}/api/chat`, {
  ...held, body: JSON.stringify({ model: "gpt-oss:20b", messages: [{ role: "user", content: "hi" }], stream: true,
    _sim: { words: 40, delay_ms: 25, first_delay_ms: 4000, ...more } }),
}).then((answer) => answer.text());

/* ---- three keys, a slot each ---- */

async function few() {
  for (let i = 0; i < 6; i++) await chat({ _sim: { words: 20 } });
  const page = await open();
  await keys(page);
  await slots(page);
  await models(page);
  await last(page);
  await pause(page);
  await now(page);
  await logs(page);
  await head(page);
  await clean(page, "few");

  const phone = await open({ width: 390 });
  await act(0, "penalize?seconds=60");
  await isState(phone, 0, "Paused by an operator", "on a phone");
  const box = async (what) => { const { y, height } = await name(phone, 0, what).boundingBox(); return [y, height]; };
  is(await box(".menu summary"), await box("footer > button"), "phone: the buttons of a card stand in line");
  await name(phone, 0, "summary").click();
  is(await inside(phone, ".menu[open] .sheet", ".key"), true, "phone: the pause sheet fits its card");
  await act(0, "reset");
  await clean(phone, "phone");

  const forced = await open({ context: { forcedColors: "active" } });
  is(await forced.evaluate(() => matchMedia("(forced-colors: active)").matches), true, "colours are forced");
  const colour = (what) => forced.evaluate((one) =>
    getComputedStyle(document.querySelector(one)).backgroundColor, what);
  await becomes(() => colour("#dots .ok .dot"), "rgb(31, 157, 92)", "a dot keeps its colour");
  await becomes(() => colour(".key .bar > i"), "rgb(63, 114, 217)", "so does a bar");
  await clean(forced, "forced colours");
}

async function keys(page) {
  const shares = async () => {
    const all = Object.values(await health());
    const loads = all.map((k) => k.load / k.weight);
    const sum = loads.reduce((a, b) => a + b, 0);
    return loads.map((n) => `${Math.round(n / sum * 100)}%`);
  };
  const shown = () => page.locator(".key dl > :nth-child(3) dd span").allInnerTexts();
  const wanted = await shares();
  ok(new Set(wanted).size > 1, "the weight is seen in the load", wanted);
  await becomes(shown, wanted, "the share is that of the load which the choice goes by");
  like(await name(page, 0, "dl > :nth-child(3)").innerText(), /Load share\s+\d+%\s*weight 3/, "with a weight");
  ok(!/weight/.test(await name(page, 1, "dl").innerText()), "but not with one of 1");
  like(await name(page, 0, "dl > :nth-child(3)").getAttribute("title"), /divided by the key's weight/, "and explained");
  is(await name(page, 0, "h3").getAttribute("title"), "team-a", "a name that is cut can be read");

  // focus

  const posted = [];
  const print = (await health()).key_0.fingerprint;
  page.on("request", (r) => r.method() === "POST" && posted.push(new URL(r.url()).pathname));
  await name(page, 0, "summary").focus();
  await page.keyboard.press("Enter");
  is(await inside(page, ".menu[open] .sheet", ".key"), true, "the sheet fits the card");
  await page.keyboard.press("Tab");
  is(await focused(page), "5 min", "the menu is open");
  await page.keyboard.press("Escape");
  is(await focused(page), "Pause team-a", "Escape leaves the focus at the menu");
  is(await page.locator(".menu[open]").count(), 0, "and closes it");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await isState(page, 0, "Paused by an operator", "a key is paused");
  is(await focused(page), "Pause team-a", "and the focus is where it was");
  await page.keyboard.press("Tab");
  is(await focused(page), "Resume team-a", "a pause by hand is resumed");
  await page.keyboard.press("Enter");
  await isState(page, 0, "Healthy", "which does it");
  is(await focused(page), "Pause team-a", "and the focus stays in the card");
  is(await name(page, 0, "footer > button").innerText(), "Reset", "whose button is what it was");
  is(posted.join(" "), `/health/keys/${print}/penalize /health/keys/${print}/reset`,
    "a key is told by its fingerprint: a reload may move it");
}

async function slots(page) {
  await act(1, "penalize?seconds=300");
  await isState(page, 1, "Paused by an operator", "one is paused");
  const two = [long(), long()];
  const pool = (pattern, why) => becomes(async () => pattern.test(await words(page, "#pool")), true, why, 6);
  await pool(/^All slots are taken: the next request waits for one; team-b returns in \d:\d\d min, at /, "all slots are taken");
  const third = long({ first_delay_ms: 0, words: 3 });
  await pool(/^1 request waits for a slot; team-b returns in \d:\d\d min, at /, "a request waits, and for what");
  like(await words(page, "#dots li:nth-child(4)"), /Keys\s+0 of 3 can serve/, "the head counts, too");
  is(await page.title(), "Ollama proxy", "but that is no alarm");
  await Promise.all([...two, third]);
  await act(1, "reset");
  await pool(/^3 keys, all able to serve$/, "then they are free");
}

async function models(page) {
  await cloud("rules", { rules: [{ match: { model: "glm-4.6" }, times: -1, preset: "model_403" }] });
  for (let i = 0; i < 4; i++) await chat({ model: "glm-4.6" });
  await becomes(async () => /3 keys, all able to serve; no key may serve glm-4.6 until \d/.test(await words(page, "#pool")),
    true, "a model that no key may serve");
  await act(2, "reset");
  await becomes(async () => /glm/.test(await words(page, "#pool")), false, "one is enough again");
  await cloud("rules", { rules: [] });
  for (const n of [0, 1]) await act(n, "reset");
  await becomes(() => page.locator(".blocked li").count(), 0, "nothing is blocked any more");
}

async function last(page) {
  await act(0, "penalize?seconds=600");
  await act(1, "penalize?seconds=300");
  await isState(page, 1, "Paused by an operator", "two are paused");
  is(await page.locator("#dots li:nth-child(4)").getAttribute("class"), "warn", "the head warns");
  const five = name(page, 2, ".sheet").getByRole("button", { name: "5 min", exact: true });
  await name(page, 2, "summary").click();
  await five.click();
  like(await name(page, 2, ".sheet").innerText(), /The last key that can serve/, "the last one is asked for");
  is(await focused(page), "Leave it", "with the harmless answer at hand");
  is((await health()).key_2.state, "healthy", "and not paused yet");
  await page.keyboard.press("Enter");
  is(await page.locator(".menu[open]").count(), 0, "no is no");
  is(await focused(page), "Pause batch-1", "the focus is back");
  await name(page, 2, "summary").click();
  await five.click();
  await name(page, 2, ".sheet").getByRole("button", { name: "Pause it for 5 min" }).click();
  await isState(page, 2, "Paused by an operator", "yes is yes");
  await becomes(() => page.title(), "⚠ no key can serve – Ollama proxy", "the title says it");
  await becomes(() => page.locator("#trouble").isVisible(), true, "so does the banner");
  like(await words(page, "#trouble"), /^No key can serve: requests are refused. team-b is back at \d/, "and when one is back");
  is(await page.locator("#dots li:nth-child(4)").getAttribute("class"), "bad", "and the head");
  await accessible(page, "no key");
  await act(0, "reset");
  await becomes(() => page.title(), "Ollama proxy", "then the title is as before");
  is(await page.locator("#trouble").isVisible(), false, "without a banner");
  await act(2, "reset");
  await isState(page, 2, "Healthy", "batch-1 is back");
}

async function pause(page) {
  const back = () => name(page, 1, ".back").innerText(); // still paused
  await page.locator("#live").click();
  like(await words(page, "#live"), /^Paused\s+since \d\d:\d\d [AP]M$/, "a pause says since when");
  const before = await back();
  const rows = await page.locator("#query-rows tr").count();
  await chat();
  await chat();
  await becomes(async () => /Paused\s+since .*, 2 new$/.test(await words(page, "#live")), true, "and what is new");
  await becomes(async () => await back() !== before, true, "clocks go on");
  is(await page.locator("#query-rows tr").count(), rows, "which is not shown");
  const lines = await page.locator(".line").count();
  page.outage = true;
  await ask("stop");
  await becomes(async () => /Paused\s+since .*, 2 new, offline$/.test(await words(page, "#live")), true, "paused and offline");
  await ask("start");
  await becomes(async () => /offline/.test(await words(page, "#live")), false, "not any more", 5);
  await becomes(async () => (await page.locator("#live").getAttribute("class")), "live paused", "still paused");
  is(await page.locator(".line").count(), lines, "no line has come");
  page.outage = false;
  await page.locator("#live").click();
  await becomes(() => page.locator("#query-rows tr").count(), rows + 2, "then there they are");
  await becomes(async () => await page.locator(".line").count() > lines, true, "so are the lines");
  is(await words(page, "#live"), "Live", "and nothing is said any more");
  await act(1, "reset");
  await isState(page, 1, "Healthy", "team-b is back");
}

async function now(page) {
  const event = (key, second, more) => ({
    key, key_fingerprint: key, model: null, time: `2026-11-22T10:00:${String(second).padStart(2, "0")}.000Z`,
    status: "healthy", reason: "", http: null, level: 0, until: null, ...more,
  });
  const until = "2026-11-22T12:00:00.000Z";
  const events = [];
  for (let i = 0; i < 8; i++) {
    events.push(event("by-hand", 50 - i * 2));
    events.push(event("by-hand", 49 - i * 2, { status: "penalized", reason: "paused by an operator", until }));
  }
  events.splice(2, 0, event("batch-1", 48, { status: "invalid", reason: "key refused (401)", http: 401, until,
    used_from: "2026-11-22T08:00:00Z", used_tokens: 12345, used_requests: 1 }));
  events.splice(4, 0, event("other", 47), event("other", 46, { status: "paused", reason: "slow down", http: 429, until }));

  let asked = "";
  await page.route("**/stats/events?*", (route) => {
    asked = route.request().url();
    return route.fulfill({ json: events });
  });
  let errors = 3;
  await page.route("**/stats/minute?window=5&by=all", (route) => route.fulfill({ json: [
    { minute: "2026-11-22T10:00:00Z", requests: 20, total_tokens: 5, errors },
    { minute: "2026-11-22T10:01:00Z", requests: 10, total_tokens: 5 },
  ] }));
  await page.locator("#live").click();
  await page.locator("#live").click();
  const list = page.locator("#now-events li");
  await becomes(async () => (await words(page, "#now-events")).includes("by-hand"), true, "what was held against keys");
  like(asked, /limit=30$/, "of thirty events");
  is(await list.count(), 8, "eight are shown");
  const said = await list.allInnerTexts();
  ok(said.some((s) => /batch-1 key refused \(401\), until/.test(s)), "trouble among them, its status once", said);
  ok(said.some((s) => /key refused.*; used 12.345 tokens in 1 request since .*Nov/.test(s)), "what its window had used", said);
  ok(said.some((s) => /other slow down \(429\), until/.test(s)), "or with a status that the reason has not", said);
  ok(!said.some((s) => /by-hand is free/.test(s)), "an operator's resets gave way", said);
  const figures = () => page.locator("#now-figures > div").evaluateAll((all) => all.map((one) => one.innerText.replace(/\s+/g, " ")));
  await becomes(async () => (await figures())[2], "Errors, 5 min 3 10%", "errors of five minutes");
  is((await figures()).length, 3, "what is to be recorded is not worth a figure");
  errors = 4;
  await becomes(async () => (await figures())[2], "Errors, 5 min 4 13%", "by themselves again and again", 15);
  await page.unroute("**/stats/minute?window=5&by=all");
  await page.unroute("**/stats/events?*");
}

async function logs(page) {
  const whole = '123#124: *77 things broke while reading, client: 10.9.8.7, server: , request: "GET /needle HTTP/1.1", host: "x"';
  await ask("line", { line: whole });
  await page.locator("#log-search").fill("THINGS BROKE");
  const line = page.locator(".line:visible");
  await becomes(() => line.count(), 1, "a line of nginx");
  const button = line.getByRole("button", { name: "The whole line" });
  is((await line.locator("span").innerText()).trim(), "things broke while reading …", "is what somebody reads");
  await page.locator("#log-lines").focus();
  await page.keyboard.press("Tab");
  is(await focused(page), "The whole line", "the rest is reached by keyboard");
  await page.keyboard.press("Enter");
  is(await line.locator("small").innerText(), whole, "and there");
  is(await button.getAttribute("aria-expanded"), "true", "which is said");
  await page.keyboard.press("Enter");
  is(await line.locator("small").isVisible(), false, "and folded");
  await page.locator("#log-search").fill("/needle");
  await becomes(() => line.locator("small").isVisible(), true, "what is found behind the fold is seen");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const copied = async (what) => {
    await page.evaluate((one) => getSelection().selectAllChildren(document.querySelector(one)), what);
    await page.keyboard.press("Control+C");
    return page.evaluate(() => navigator.clipboard.readText());
  };
  await button.click();
  await page.evaluate(() => document.querySelector(".line:not([hidden])").classList.add("this"));
  like(await copied(".this"), /^Nov.* error nginx 123#124: \*77 things .*host: "x"$/, "a line is copied whole");
  is(await copied(".this b"), "error", "a word of it as it is");
  await page.locator("#log-search").fill("");
  await page.locator("#log-clear").click();
  is(await words(page, "#logs .state"), "Cleared; new lines appear here.", "cleared is not empty");
  await ask("line", { line: "1#1: one more" });
  await becomes(() => page.locator(".line span").allInnerTexts(), ["one more"], "and new ones appear");
}

async function head(page) {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  is(await words(page, "#theme"), "Theme: system, light", "the theme, and what it comes to");
  await page.locator("#theme").click();
  ok(await ground() !== light, "the first press is seen");
  is(await words(page, "#theme"), "Theme: dark", "and said");
  await page.locator("#theme").click();
  is([await words(page, "#theme"), await ground()], ["Theme: light", light], "then the other");
  await page.locator("#theme").click();
  is(await words(page, "#theme"), "Theme: system, light", "then the system's");
  await page.emulateMedia({ colorScheme: "dark" });
  await becomes(async () => await words(page, "#theme"), "Theme: system, dark", "which may change");
  await page.emulateMedia({ colorScheme: "light" });

  const position = () => page.evaluate(() => getComputedStyle(document.querySelector(".top")).position);
  is(await position(), "sticky", "the head stays in view");
  await page.setViewportSize({ width: 1440, height: 500 });
  is(await position(), "static", "unless there is little room");
  await page.setViewportSize({ width: 1440, height: 900 });
}

/* ---- nobody answers ---- */

async function away() {
  await chat();
  const page = await open();
  await page.evaluate(() => {
    globalThis.last = 0;
    const { parse } = JSON;
    JSON.parse = (...all) => { globalThis.last = Date.now(); return parse(...all); }; // what the stream brings
  });
  const running = long({ words: 3, first_delay_ms: 8000 });
  await becomes(() => page.locator("#running li").count(), 1, "a request runs");
  page.outage = true;
  await ask("stop");
  await becomes(() => words(page, "#live-word"), "Offline", "the daemon is away", 5);
  is(await words(page, "#running-none"), "Not known while nobody tells: requests may run.", "what runs is not known");
  is(await page.locator("#now-figures dd").allInnerTexts(), ["–", "–", "–"], "how much, neither");
  const since = () => page.evaluate(() => new Intl.DateTimeFormat("en-US", { timeStyle: "medium" })
    .format(new Date(globalThis.last)).replace(/\s/g, " "));
  like((await words(page, "#trouble")).replace(/\s/g, " "), new RegExp(`^No numbers since ${await since()}: .* What is shown is of then\\. `), "the banner knows when it last heard");
  const style = (what) => page.evaluate((one) => {
    const { opacity, borderTopStyle } = getComputedStyle(document.querySelector(one));
    return [opacity, borderTopStyle];
  }, what);
  is(await style("main"), ["1", "none"], "nothing is faint");
  is(await style("#queries"), ["1", "dashed"], "a panel is marked");
  is(await style("#keys"), ["1", "solid"], "but not the keys, which nginx tells");
  await accessible(page, "offline, light");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "offline, dark");
  await page.emulateMedia({ colorScheme: "light" });
  await running;
  await ask("start");
  const up = Date.now();
  await becomes(() => words(page, "#live-word"), "Live", "and back", 10);
  ok(Date.now() - up < 3000, `within three seconds (${Date.now() - up} ms)`);
  await becomes(() => page.locator("#query-rows tr").count(), 2, "with what was missed");
  is(await words(page, "#running-none"), "No request runs at this moment.", "what runs is known again");

  await ask("stop_nginx");
  await becomes(() => words(page, "#dots li:nth-child(1) .word"), "does not answer", "nginx is away: the head says so at once", 3);
  like(await words(page, "#trouble"), /the proxy cannot be reached/, "as the banner does");
  is(await words(page, "#dots li:nth-child(4) .word"), "not known", "nothing is known of the keys");
  is(await style("#keys"), ["1", "dashed"], "which is seen");
  await accessible(page, "without nginx");
  await new Promise((resolve) => setTimeout(resolve, 8000)); // long enough for slow attempts
  await ask("start_nginx");
  const again = Date.now();
  await becomes(() => words(page, "#live-word"), "Live", "back again", 10);
  ok(Date.now() - again < 3000, `within three seconds (${Date.now() - again} ms)`);
  await becomes(() => words(page, "#dots li:nth-child(1) .word"), "answers", "the head, too", 3);
  await becomes(() => words(page, "#dots li:nth-child(4) .word"), "3 of 3 can serve", "and the keys", 6);
  page.outage = false;
  await clean(page, "away");
}

/* ---- fourteen keys ---- */

async function many() {
  await cloud("rules", { rules: [{ match: { key: given.keys[1] }, times: 1, preset: "quota_session" }] });
  for (let i = 0; i < 16; i++) await chat();
  await act(3, "penalize?seconds=600");
  const page = await open();
  const groups = () => page.locator("#key-groups details.group > summary").allInnerTexts();
  await becomes(groups, ["Not serving: 2 (1 paused by an operator)", "11 keys able to serve", "1 key switched off"], "groups");
  await becomes(() => page.locator(".key:not(.row):visible").count(), 2, "two cards");
  is(await page.locator(".key.row:visible").count(), 11, "eleven lines");
  const heights = await page.locator(".key.row:visible").evaluateAll((all) => all.map((one) => one.offsetHeight));
  ok(Math.max(...heights) < 40, "each of them one line", heights);
  const row = await name(page, 0, "").innerText();
  like(row, /key_0[\s\S]*Healthy[\s\S]*\d[\s\S]*\b0\b[\s\S]*Pause/, "with its name, state, tokens, requests", row);
  const height = await page.evaluate(() => document.querySelector("#keys").offsetHeight);
  ok(height < 600, `there is room for the rest (${height})`);
  is(await name(page, 4, "h3").getAttribute("title"), "k".repeat(60), "a long name can be read");

  // a key that moves takes the focus along

  await name(page, 5, "summary").focus();
  await page.keyboard.press("Enter");
  is(await inside(page, ".menu[open] .sheet", "#keys"), true, "the sheet fits the panel");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await becomes(async () => (await groups())[0], "Not serving: 3 (2 paused by an operator)", "one more is paused");
  is(await focused(page), "Pause key_5", "and has the focus");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await becomes(async () => (await groups())[0], "Not serving: 2 (1 paused by an operator)", "and resumed");
  is(await focused(page), "Pause key_5", "which it keeps");
  await accessible(page, "many keys");
  await clean(page, "many");

  const phone = await open({ width: 390, scheme: "dark" });
  await becomes(async () => (await phone.locator("details.group").evaluateAll((all) => all.map((one) => one.open))),
    [true, false, false], "a phone starts with what needs attention");
  await phone.locator("#key-groups summary", { hasText: "able to serve" }).click();
  await becomes(() => phone.locator(".key.row:visible").count(), 11, "the rest unfolds");
  is(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing sticks out");
  await accessible(phone, "many keys on a phone");
  await clean(phone, "phone");
}

/* ---- eight pages ---- */

async function pages() {
  for (let i = 0; i < 3; i++) await chat();
  const first = await open();
  const all = [first];
  for (let i = 1; i < 8; i++) all.push(await first.context().newPage());
  await Promise.all(all.slice(1).map((page) => page.goto(`${given.url}/dashboard`, { timeout: 20000 })));
  const count = (page) => page.locator("#query-rows tr").count();
  const states = async () => (await Promise.all(all.filter((page) => !page.isClosed())
    .map((page) => words(page, "#live-word")))).sort();
  const live = (n, of) => [...new Array(of - n).fill("Every 5 s"), ...new Array(n).fill("Live")];
  await becomes(() => Promise.all(all.map(count)), new Array(8).fill(3), "eight pages show rows", 20);
  await becomes(states, live(3, 8), "three of them by a stream", 20);
  is(await words(first, "#live-word"), "Live", "the oldest is one of these");
  const asking = all.find((page) => page !== first);
  await chat();
  await becomes(() => Promise.all(all.map(count)), new Array(8).fill(4), "each is told what is new", 12);
  const other = await poll(async () => {
    for (const page of all) if (await words(page, "#live-word") === "Every 5 s") return page;
  });
  like(await other.locator("#live").getAttribute("title"), /pages of this browser are open/, "one that asks says why");

  await asking.close();
  await becomes(states, live(3, 7), "a page that is closed is followed by another", 12);

  // hidden, so to say: the stream is let go after five seconds

  const hide = (page, on) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, on);
  const visible = async () => (await Promise.all(all.slice(1).filter((page) => !page.isClosed())
    .map((page) => words(page, "#live-word")))).sort();
  await hide(first, true);
  await becomes(visible, live(3, 6), "a hidden page lets another have its stream", 12);
  await hide(first, false);
  await becomes(() => words(first, "#live-word"), "Every 5 s", "and asks when it is back", 8);
  await chat();
  await becomes(() => count(first), 5, "and is told", 8);
  note(`states: ${(await states()).join(", ")}`);
  await clean(first, "pages");
}

await parts[given.part]();
await end();
