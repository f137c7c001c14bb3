// Usage over time and the sums: what is shown of many series and of long names,
// and that a page which loads does not jump.

import { becomes, chat, clean, end, given, is, like, note, ok, open, poll, words } from "./harness.mjs";

const bearer = { headers: { Authorization: `Bearer ${given.token}` } };
const api = async (path) => (await fetch(given.url + path, bearer)).json();

// a page that loads does not jump

for (const [width, height] of [[1440, 900], [768, 1024], [390, 844]]) {
  const page = await open({
    width, height,
    init: () => {
      globalThis.shifts = [];
      new PerformanceObserver((list) => {
        for (const shift of list.getEntries()) {
          globalThis.shifts.push([shift.value, ...shift.sources.map(({ node, previousRect: a, currentRect: b }) =>
            `${node?.id || node?.className || node?.nodeName} ${a.y}+${a.height} -> ${b.y}+${b.height}`)]);
        }
      }).observe({ type: "layout-shift", buffered: true });
    },
  });
  for (const what of [".key", "#kinds dt", "#usage-legend li", "#now-figures dt", "#now-events li", "#query-rows tr",
    "#sums tbody tr", "#log-lines .line"]) await page.locator(what).first().waitFor();
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const shifts = await page.evaluate(() => globalThis.shifts);
  const sum = shifts.reduce((n, [value]) => n + value, 0);
  note(`${width}: layout shift ${sum.toFixed(3)}`);
  ok(sum < 0.1, `${width}: nothing jumps while it loads (${sum.toFixed(3)})`, shifts);
  await clean(page, `${width}: load`);
}

const page = await open();
const entries = page.locator("#usage-legend li");
const names = () => page.locator("#usage-legend .name").allInnerTexts();
const entry = (words) => page.locator("#usage-legend button", { has: page.getByText(words, { exact: true }) });
const pressed = () => page.locator('#usage-legend [aria-pressed="true"] .name').allInnerTexts();
const button = (words) => page.locator("#usage .legend-tools").getByRole("button", { name: words });
const by = (words) => page.locator("#usage-by").getByRole("button", { name: words }).click();
const span = (words) => page.locator("#usage-window").getByRole("button", { name: words, exact: true }).click();

// the legend: all of it, in place

await becomes(() => entries.count(), 21, "twenty series and the others have an entry");
is(await entries.evaluateAll((all) => all.filter((li) => {
  const { left, right, top, bottom } = li.getBoundingClientRect();
  const list = li.parentNode.getBoundingClientRect();
  return left >= list.left && right <= list.right + 1 && top >= list.top && bottom <= list.bottom + 1;
}).length), 21, "each is seen");
const third = (await names())[2];
await entry(third).focus();
await page.evaluate(() => { globalThis.focused = document.activeElement; });
const before = (await names()).indexOf(third);
await chat({ model: "heavy", messages: [{ role: "user", content: "x".repeat(1 << 20) }] });
await becomes(async () => (await names()).includes("heavy"), true, "a new series comes into the legend");
ok((await names()).indexOf(third) > before, "before others", await names());
ok(await page.evaluate(() => globalThis.focused === document.activeElement), "and the one that has the focus keeps it");

is(await button("Show all").isVisible(), false, "nothing is hidden, nothing to show");
await page.keyboard.press("Space");
is((await pressed()).includes(third), false, "one is hidden");
await button("Hide all").focus();
await page.keyboard.press("Enter");
is(await pressed(), [], "all can be, by keyboard");
is(await page.evaluate(() => document.activeElement.id), "usage-all", "the focus goes on to its counterpart");
await entry("heavy").focus();
await page.keyboard.press("Space");
is(await pressed(), ["heavy"], "then one shown");
await chat({ model: "newcomer", messages: [{ role: "user", content: "x".repeat(1 << 20) }] });
await becomes(async () => (await names()).includes("newcomer"), true, "another one comes");
is(await pressed(), ["heavy"], "and stays hidden as the rest");
await button("Show all").focus();
await page.keyboard.press("Enter");
is((await pressed()).length, 21, "all again");
is(await page.evaluate(() => document.activeElement.closest("#usage-legend") !== null), true, "the focus is in the legend");
await entry("heavy").dblclick();
is(await pressed(), ["heavy"], "a double click: only this one");
is(await page.evaluate(() => globalThis.Chart.getChart("usage-chart").data.datasets.map((d) => d.label)), ["heavy"], "in the chart, too");
await entry("newcomer").click({ modifiers: ["Alt"] });
is(await pressed(), ["newcomer"], "Alt and a click, as well");
await entry("newcomer").dblclick();
is((await pressed()).length, 21, "once more: all");

// the chart

const unit = () => words(page, "#usage-unit");
is(await unit(), "tokens per minute", "the unit is said");
await span("4h");
await becomes(unit, "tokens per 5 min", "of a longer step, too");
await span("24h");
await becomes(unit, "tokens per 20 min", "and of the longest");
const steps = () => page.evaluate(() => {
  const { datasets } = globalThis.Chart.getChart("usage-chart").data;
  const line = datasets.find((d) => d.label === "Sum").data;
  return { line: line.at(-1), before: line.slice(0, -1).every(Number.isFinite),
    bars: datasets.filter((d) => d.label !== "Sum").reduce((n, d) => n + d.data.at(-1), 0) };
});
await poll(async () => {
  await chat();
  return poll(async () => (await steps()).bars > 0, 6);
}, 13);
const { line, bars, before: full } = await steps();
is([line, bars > 0, full], [null, true, true], "the sum's line ends before the step that is not over, whose bars are there");

async function hover(page, label) {
  const at = await page.evaluate((label) => {
    const chart = globalThis.Chart.getChart("usage-chart");
    const i = chart.data.datasets.findIndex((d) => d.label === label);
    const values = chart.data.datasets[i].data;
    const bar = chart.getDatasetMeta(i).data[values.indexOf(Math.max(...values))];
    return { x: bar.x, y: (bar.y + bar.base) / 2 };
  }, label);
  await page.locator("#usage-chart").scrollIntoViewIfNeeded();
  const box = await page.locator("#usage-chart").boundingBox();
  await page.mouse.move(box.x + at.x, box.y + at.y);
  return poll(() => page.evaluate(() => {
    const { tooltip } = globalThis.Chart.getChart("usage-chart");
    return tooltip.opacity > 0 && { title: tooltip.title, sum: tooltip.beforeBody, lines: tooltip.body.map((b) => b.lines[0]), footer: tooltip.footer };
  }));
}

await span("60m");
await becomes(unit, "tokens per minute", "minutes again");
const tip = await hover(page, given.long);
note(JSON.stringify(tip));
like(tip.title[0], /^([A-Z]\w\w \d+, )?\d+:\d\d( [AP]M)?\s–\s(\w+ \d+, )?\d+:\d\d [AP]M$/u, "a tip has its time in short");
like(tip.sum[0], /^Sum: 124,\d{3},\d{3}$/, "the sum");
is(tip.lines.length, 10, "the ten greatest");
like(tip.lines[0], /^ a-name-that-is-longer-than-any-column-c?o?…: 124,691,356 \(100%\)$/, "names in brief, with their part");
like(tip.lines[1], /^ gpt-oss:20b: [\d,]+ \(<1%\)$/, "a small one as well");
like(tip.footer[0], /^and \d+ more$/, "and how many there are beyond");
await page.mouse.move(5, 5);

// clients by name, wherever they call from

await by("client");
await becomes(async () => (await names()).filter((n) => /anna|10\.20/.test(n)), ["anna", "10.20.0.31"], "a client is its name, or its address without one");
like(await entry("anna").getAttribute("title"), /^anna: 80,000\nfrom 10\.20\.0\.31, 10\.20\.0\.32\n/, "the addresses are in its title");

async function rows() {
  return page.locator("#sums tbody tr").evaluateAll((all) => all.map((row) =>
    [...row.cells].map((cell) => cell.innerText)));
}
const sums = (value) => page.locator("#sums-by").selectOption(value);

await sums("client");
await becomes(async () => (await rows()).filter((r) => /^anna|10\.20/.test(r[0])).map((r) => [r[0], r[1], r[3]]),
  [["anna", "80,000", "2"], ["10.20.0.31", "30,000", "1"]], "in the sums, too");
like(await page.locator("#sums tbody td", { hasText: "anna" }).getAttribute("title"), /^anna \(10\.20\.0\.3[12], 10\.20\.0\.3[12]\)$/, "with the addresses in the title");

// days, hours

const zone = "Europe/Oslo";
const parts = (t, how) => new Intl.DateTimeFormat("en-US", { timeZone: zone, ...how }).format(new Date(t));
const dayOf = (t) => parts(t, { weekday: "short", day: "numeric", month: "short" });
const range = (value) => page.locator("#sums-range").selectOption(value);

await range("168");
await sums("day");
const hours = await api("/stats?by=hour&limit=10000");
const days = [...new Set(hours.map((r) => Date.parse(r.bucket)).sort((a, b) => b - a).map(dayOf))];
await becomes(async () => (await rows()).map((r) => r[0]), days, "by day, the newest first");
for (const day of days.slice(1)) {
  const wanted = hours.filter((r) => dayOf(r.bucket) === day).reduce((n, r) => n + r.prompt_tokens + r.completion_tokens, 0);
  is((await rows()).find((r) => r[0] === day)[1].replace(/\D/g, ""), String(wanted), `${day}: the sum of its hours in the viewer's zone`);
}
ok(given.days.map(dayOf).every((d) => days.includes(d)), "each day that was fed is one", days);
await range("24");
const begins = Math.floor(Date.now() / 3600000) * 3600000 - 23 * 3600000;
const minutes = (t) => parts(t, { hour: "2-digit", minute: "2-digit" });
const inside = hours.map((r) => Date.parse(r.bucket)).filter((t) => t >= begins).sort((a, b) => b - a);
const oldest = dayOf(inside.at(-1));
const whole24 = dayOf(begins) !== oldest || minutes(begins) === "12:00 AM";
const plain = (s) => s.replace(/\s/g, " ");
await becomes(async () => plain((await rows()).at(-1)?.[0] ?? ""), whole24 ? oldest : plain(`${oldest}, from ${minutes(begins)}`),
  "a day of which only the end is in says so");
await sums("hour");
await becomes(async () => (await rows()).map((r) => plain(r[0])),
  inside.map((t) => plain(`${parts(t, { day: "numeric", month: "short" })}, ${minutes(t)}`)), "by hour, the newest first");
is(await page.locator('#sums th[aria-sort="descending"]').innerText(), "Hour", "which is said");

// the file

async function file() {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#sums-csv").click()]);
  const pieces = [];
  for await (const piece of await download.createReadStream()) pieces.push(piece);
  return { name: download.suggestedFilename(), text: Buffer.concat(pieces).toString("utf8") };
}
const NUMBERS = "requests,errors,prompt_tokens,cached_tokens,completion_tokens,total,cost_usd,unpriced_tokens";
const shown = (head) => becomes(() => page.locator("#sums thead th").first().innerText(), head, `${head}s are there`);
const today = () => new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(new Date());

await sums("client");
await shown("Client");
let csv = await file();
is(csv.name, `ollama-usage-by-client-${today()}.csv`, "a file is named by the viewer's day");
is(csv.text.charCodeAt(0), 0xfeff, "its first mark says UTF-8");
is(csv.text.slice(1).split("\r\n")[0], `client_name,client_ip,${NUMBERS}`, "name and address are two columns");
is(csv.text.split("\r\n").filter((l) => /10\.20\.0\.3/.test(l)).map((l) => l.split(",").slice(0, 3).join()).sort(),
  [",10.20.0.31,1", "anna,10.20.0.31,1", "anna,10.20.0.32,1"], "each pair is a row");
like(csv.text, /^'@sum,'=1\+1,1,/m, "no formula");
await sums("key");
await becomes(async () => (await rows()).filter((r) => r[0] === "team-x").length, 1, "keys of one name are one row");
csv = await file();
is(csv.text.slice(1).split("\r\n")[0], `key,key_fingerprint,${NUMBERS}`, "the file has their fingerprints");
is(csv.text.split("\r\n").filter((l) => /^team-x,/.test(l)).map((l) => l.split(",")[1]).sort(), ["beefbeef", "feedfeed"], "and tells them apart");
await sums("all");
await shown("Hour");
is(await page.locator("#sums thead th").allInnerTexts().then((all) => all.slice(0, 5)), ["Hour", "Client", "Address", "Key", "Model"], "all: names and addresses");
is((await file()).text.slice(1).split("\r\n")[0], `bucket,client_name,client_ip,key,key_fingerprint,model,${NUMBERS}`, "and in the file");
is(/Cut/.test(await words(page, "#sums-note")), false, "nothing was cut");
const one = (await api("/stats?by=all&limit=1"))[0];
await page.route("**/stats?by=all*", (route) => route.fulfill({ json: Array.from({ length: 10000 }, (_, i) => ({ ...one, model: `m${i}` })) }));
await range("168");
await becomes(async () => /Cut: only the newest 10,000 rows are here and in the CSV/.test(await words(page, "#sums-note")), true, "a file that is cut says so", 20);
await page.unroute("**/stats?by=all*");

// the daemon is away: what is shown is not what was asked for

await range("24");
await sums("model");
await shown("Model");
const stale = (panel) => page.locator(`#${panel} > .state[data-state="stale"]`);
page.outage = true;
await page.route("**/stats**", (route) => route.fulfill({ status: 503, json: { error: "gone for a test" } }));
await span("2h");
await sums("client");
await chat();
for (const panel of ["usage", "sums", "tokens"]) {
  await becomes(async () => await stale(panel).isVisible() && stale(panel).innerText().then((s) => /^Not up to date: gone for a test\./.test(s)), true, `${panel}: not up to date`);
  is(await page.locator(panel === "sums" ? "#sums table" : `#${panel} .content`).isVisible(), true, `${panel}: what there was stays`);
}
like(await stale("usage").innerText(), /This is by client, the last 60m\.$/, "and what that is is said");
like(await stale("sums").innerText(), /This is of 24 h, by model\.$/, "for the sums as well");
await page.unroute("**/stats**");
await span("10m");
await sums("key");
await chat();
for (const panel of ["usage", "sums", "tokens"]) await becomes(() => page.locator(`#${panel} > .state`).isVisible(), false, `${panel}: up to date again`);
await clean(page, "chart and sums");

// long names, great numbers, any width: name and total are in sight

for (const width of [1440, 1290, 1200, 1110, 390]) {
  const narrow = await open({ width });
  await narrow.locator("#sums tbody tr").first().waitFor();
  const box = (selector) => narrow.locator(selector).first().evaluate((cell) => {
    const { left, right, width } = cell.getBoundingClientRect();
    const room = cell.closest(".scroll").getBoundingClientRect();
    return left >= room.left - 1 && right <= room.right + 1 && width > 60;
  });
  const sight = async () => [await box("#sums tbody td:first-child"), await box("#sums tbody td:nth-child(2)")];
  is(await sight(), [true, true], `${width}: names and totals are in sight`);
  is(await narrow.locator("#sums tbody td").first().getAttribute("title"), given.long, `${width}: the whole name is in the title`);
  await narrow.locator("#sums > .scroll").evaluate((node) => { node.scrollLeft = 1000; });
  is([await box("#sums tbody td:first-child"), await box("#sums tbody td:last-child")], [true, true], `${width}: names also when the table is scrolled`);
  if (width > 390) {
    await narrow.locator("#sums-by").selectOption("key");
    await becomes(() => narrow.locator("#sums thead th").first().innerText(), "Key", `${width}: by key`);
    is(await narrow.locator("#sums > .scroll").evaluate((node) => node.scrollWidth - node.clientWidth), 0, `${width}: nothing hangs off`);
    await narrow.locator("#sums-by").selectOption("model");
  } else {
    is(await narrow.locator("#usage-legend li:visible").count(), 8, "a phone shows eight series");
    const more = narrow.locator("#usage-more");
    like(await more.innerText(), /^\+13 more$/, "and says how many there are");
    await more.click();
    is(await narrow.locator("#usage-legend li:visible").count(), 21, "which are a press away");
    is([await more.getAttribute("aria-expanded"), await more.innerText()], ["true", "Fewer series"], "and back");
    await more.click();
    is(await narrow.locator("#usage-legend li:visible").count(), 8, "they are folded again");
    const small = await hover(narrow, given.long);
    is(small.lines.length, 6, "a tip of a phone has less");
    like(small.lines[0], /^ a-name-that-is-longe?…: /, "and shorter names");
  }
  is(await narrow.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${width}: nothing sticks out`);
  await clean(narrow, `${width}: sums`);
}

// four digits are grouped as more are

const german = await open({ locale: "de-DE" });
await german.locator("#usage-by").getByRole("button", { name: "client" }).click();
await becomes(() => german.locator("#usage-legend button", { hasText: "four" }).locator(".n").innerText(), "1.520", "1.520 in German");
await clean(german, "German");

await end();
