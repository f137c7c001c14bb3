// Sums by hour, day, client, model, key: of /stats, put together and sorted here.
//
// They are asked for a day at a time, so that the daemon never has to read a
// month at once; days that are over are not asked for again.

import { $, h, remember, show, state, text, throttle } from "./dom.js";
import { compact, exactly, hm, hour, num, plural, usd } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const LIMIT = 10000;
const HOUR = 3600000;
const DAY = 24 * HOUR;
const SHOWN = 300;
// The total is next to the names, where a phone has it in sight.
const TOTAL = ["total", "Total"];
const COUNTS = [["requests", "Requests"], ["errors", "Errors"], ["prompt_tokens", "Prompt"],
  ["cached_tokens", "Cached"], ["completion_tokens", "Completion"]];
const COST = ["cost_usd", "Cost"];
const UNPRICED = "unpriced_tokens";
const NUMBERS = [TOTAL, COST, ...COUNTS];
const NAMES = {
  hour: [["bucket", "Hour"]],
  day: [["day", "Day"]],
  client: [["client", "Client"]],
  model: [["model", "Model"]],
  key: [["key", "Key"]],
  all: [["bucket", "Hour"], ["client_name", "Client"], ["client_ip", "Address"], ["key", "Key"], ["model", "Model"]],
};
// What the file tells apart beyond that.
const IN_FILE = {
  ...NAMES,
  client: [["client_name"], ["client_ip"]],
  key: [["key"], ["key_fingerprint"]],
  all: [["bucket"], ["client_name"], ["client_ip"], ["key"], ["key_fingerprint"], ["model"]],
};
const BEHIND = { client: "client_ip", key: "key_fingerprint" }; // for a name's title
const TIMED = { hour: "bucket", day: "day" }; // sorted by these, the newest first
const date = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

const panel = $("sums");
const table = panel.querySelector("table.sums");
const past = new Map(); // "by from to" -> rows of a day that is over
const orders = {}; // by -> what it is sorted by, once somebody has
let rows = null;
let first = 0; // the time they begin
let cut = false; // there are more than LIMIT
let asked = 0;

let shownBy = "model"; // what rows are of
let shownOf = "";

const by = () => $("sums-by").value;

// The viewer's day, "2026-11-25".
function dayOf(t) {
  const d = new Date(t);
  return [d.getFullYear(), d.getMonth() + 1, d.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
}

// A day's words; the first one is seldom a whole one.
function dayWords(day) {
  const begin = new Date(`${day}T00:00`);
  return begin.getTime() < first ? `${date.format(begin)}, from ${hm(first)}` : date.format(begin);
}

const WHEN = { bucket: hour, day: dayWords };

function named(row) {
  return {
    bucket: row.bucket,
    day: shownBy === "day" ? dayOf(row.bucket) : "",
    client: row.client_name || row.client_ip,
    client_name: row.client_name ?? "",
    client_ip: row.client_ip,
    key: row.key ?? "none",
    key_fingerprint: row.key_fingerprint ?? "",
    model: row.model || "(none)",
  };
}

// The rows with the same names put together. A client is its name, wherever it
// calls from; an address only without one.
function put(names) {
  const groups = new Map();
  const main = names[0][0];

  for (const row of rows) {
    const one = named(row);
    const id = names.map(([field]) =>
      field === "client" ? `${!row.client_name} ${one.client}` : one[field]).join("\n");
    let group = groups.get(id);
    if (!group) {
      group = { ...one, more: new Set() };
      for (const [field] of NUMBERS) group[field] = 0;
      group[UNPRICED] = group.nano = 0; // nano-dollars: whole numbers add up
      groups.set(id, group);
    }
    const behind = one[BEHIND[main]];
    if (behind && behind !== one[main]) group.more.add(behind);
    for (const [field] of COUNTS) group[field] += row[field];
    group.nano += Math.round(row.cost_usd * 1e9);
    group[COST[0]] = group.nano / 1e9;
    group[UNPRICED] += row[UNPRICED];
    group.total += row.prompt_tokens + row.completion_tokens;
  }
  return [...groups.values()];
}

const order = () => orders[shownBy] ?? { field: shownBy in TIMED ? TIMED[shownBy] : "total", down: true };

function sort(groups) {
  const { field, down } = order();
  const second = NAMES[shownBy][0][0];
  return groups.sort((a, b) => {
    const [x, y] = [a[field], b[field]];
    return (down ? -1 : 1) * (typeof x === "string" ? x.localeCompare(y) : x - y)
      || a[second].localeCompare(b[second]);
  });
}

// Names are cut to fit; the whole one is in the title, with what is behind it.
function nameCell(group, field) {
  const words = field in WHEN ? WHEN[field](group[field]) : group[field];
  return h("td", {
    class: field in WHEN ? "name when" : "name",
    title: group.more.size ? `${words} (${[...group.more].join(", ")})` : words,
  }, words);
}

// Money with what has no price beside it.
function numberCell(group, field) {
  if (field !== COST[0]) return h("td", { class: "n" }, num(group[field]));
  const missing = group[UNPRICED] > 0 && `${compact(group[UNPRICED])} unpriced`;
  return h("td", { class: "n", title: exactly(group[field]) },
    group[field] > 0 || !missing ? usd(group[field]) : null,
    missing && h("small", {}, group[field] > 0 ? ` + ${missing}` : missing));
}

function render() {
  if (!rows) return;
  const names = NAMES[shownBy];
  const columns = [...names, ...NUMBERS];
  const groups = sort(put(names));

  show(table, groups.length > 0);
  $("sums-csv").disabled = !groups.length;
  if (!groups.length) {
    state(panel, "empty", "Nothing was recorded in this time.");
    text($("sums-note"), "");
    return;
  }
  state(panel);
  const focused = document.activeElement?.dataset?.field;
  const now = order();
  table.classList.toggle("one", names.length === 1);
  table.tHead.replaceChildren(h("tr", {}, columns.map(([field, words], i) =>
    h("th", {
      scope: "col", class: i >= names.length ? "n" : "name",
      "aria-sort": field === now.field ? (now.down ? "descending" : "ascending") : "none",
    }, h("button", {
      type: "button", class: "sort", "data-field": field,
      onclick() {
        const down = field === now.field ? !now.down : i >= names.length || field === TIMED[shownBy];
        orders[shownBy] = { field, down };
        render();
      },
    }, words)))));
  if (focused) table.tHead.querySelector(`[data-field="${CSS.escape(focused)}"]`)?.focus();
  table.tBodies[0].replaceChildren(...groups.slice(0, SHOWN).map((g) => h("tr", {}, columns.map(([field], i) =>
    i >= names.length ? numberCell(g, field) : nameCell(g, field)))));
  const whole = Object.fromEntries([...NUMBERS, [UNPRICED]].map(([field]) =>
    [field, groups.reduce((n, g) => n + (field === COST[0] ? g.nano : g[field]), 0)]));
  whole[COST[0]] /= 1e9;
  table.tFoot.replaceChildren(h("tr", {}, h("th", { scope: "row" }, "Total"),
    names.length > 1 && h("td", { colspan: String(names.length - 1) }),
    NUMBERS.map(([field]) => numberCell(whole, field))));
  text($("sums-note"), plural(groups.length, "row")
    + (groups.length > SHOWN ? `, the first ${num(SHOWN)} shown; all are in the CSV` : "")
    + (cut ? `. Cut: only the ${shownBy === "all" ? "newest " : ""}${num(LIMIT)} rows`
      + `${shownBy === "all" ? "" : " of a day"} are here and in the CSV` : ""));
}

// A cell that a spreadsheet would take for a formula gets an apostrophe.
function cell(value) {
  let words = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
  return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

function csv() {
  const names = IN_FILE[shownBy];
  const columns = [...names, ...COUNTS, TOTAL, COST, [UNPRICED]].map(([field]) => field);
  const lines = [columns, ...sort(put(names)).map((g) => columns.map((field) => g[field]))];
  // the mark at its beginning tells Excel that it is UTF-8
  const url = URL.createObjectURL(new Blob(["\ufeff", ...lines.map((l) => `${l.map(cell).join(",")}\r\n`)],
    { type: "text/csv" }));
  const link = h("a", { href: url, download: `ollama-usage-by-${shownBy}-${dayOf(Date.now())}.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function part(kind, from, to, now) {
  const id = `${kind} ${from} ${to}`;
  if (past.has(id)) return past.get(id);
  const time = (t) => new Date(t).toISOString().replace(/\.\d+/, "");
  const got = await get(`/stats?by=${kind}&limit=${LIMIT}&from=${time(from)}&to=${time(to)}`);
  if (to < now - HOUR) past.set(id, got);
  return got;
}

async function load() {
  const turn = ++asked;
  const wanted = by();
  const range = $("sums-range").selectedOptions[0].text;
  const kind = wanted === "day" ? "hour" : wanted; // a day of the viewer's is some of the hours
  const now = Date.now();
  // whole hours, this one included, as in the panel of the last 24
  const begin = Math.floor(now / HOUR) * HOUR - (Number($("sums-range").value) - 1) * HOUR;
  const got = [];
  let more = false;

  try {
    for (let to = Math.ceil(now / DAY) * DAY; to > begin; to -= DAY) {
      const some = await part(kind, Math.max(begin, to - DAY), to, now);
      if (turn !== asked) return;
      got.push(...some);
      more ||= some.length >= LIMIT || (kind === "all" && got.length > LIMIT);
      if (more && kind === "all") break;
    }
    rows = got.slice(0, kind === "all" ? LIMIT : undefined);
    first = begin;
    cut = more;
    shownBy = wanted;
    shownOf = range;
    render();
  } catch (error) {
    if (turn !== asked) return;
    if (rows?.length) {
      state(panel, "stale", `Not up to date: ${error.message}. `
        + `This is of ${shownOf}, by ${shownBy === "all" ? "all of these" : shownBy}.`);
    } else state(panel, "error", `The sums are not to be had: ${error.message}.`);
  }
}

export function start() {
  const kept = remember("sums-by");
  if (kept in NAMES) $("sums-by").value = kept;
  $("sums-by").addEventListener("change", () => {
    remember("sums-by", by());
    load();
  });
  $("sums-range").addEventListener("change", load);
  $("sums-csv").addEventListener("click", csv);
  // ten thousand rows are a few megabytes
  const soon = throttle(() => (rows?.length > 1000 ? 60000 : 5000), unlessPaused(load));
  live.addEventListener("queries", soon);
  live.addEventListener("refresh", () => {
    past.clear();
    load();
  });
  load();
}
