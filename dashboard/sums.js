// Sums by hour, client, model, key: of /stats, put together and sorted here.
//
// They are asked for a day at a time, so that the daemon never has to read a
// month at once; days that are over are not asked for again.

import { $, h, remember, show, state, text, throttle } from "./dom.js";
import { hour, num, plural } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const LIMIT = 10000;
const HOUR = 3600000;
const DAY = 24 * HOUR;
const SHOWN = 300;
const NUMBERS = [["requests", "Requests"], ["errors", "Errors"], ["prompt_tokens", "Prompt"],
  ["cached_tokens", "Cached"], ["completion_tokens", "Completion"], ["total", "Total"]];
const NAMES = {
  hour: [["bucket", "Hour"]],
  client: [["client", "Client"]],
  model: [["model", "Model"]],
  key: [["key", "Key"]],
  all: [["bucket", "Hour"], ["client", "Client"], ["key", "Key"], ["model", "Model"]],
};

const panel = $("sums");
const table = panel.querySelector("table.sums");
const past = new Map(); // "by from to" -> rows of a day that is over
let rows = null;
let asked = 0;
let order = { field: "total", down: true };

let shownBy = "model"; // what rows are of

const by = () => $("sums-by").value;

function put() {
  const names = NAMES[shownBy];
  const groups = new Map();

  for (const row of rows) {
    const one = {
      bucket: row.bucket,
      client: row.client_name ? `${row.client_name} (${row.client_ip})` : row.client_ip,
      key: row.key ?? "none",
      model: row.model || "(none)",
    };
    const id = names.map(([field]) => one[field]).join("\n");
    let group = groups.get(id);
    if (!group) {
      group = Object.fromEntries(names.map(([field]) => [field, one[field]]));
      for (const [field] of NUMBERS) group[field] = 0;
      groups.set(id, group);
    }
    for (const [field] of NUMBERS) if (field !== "total") group[field] += row[field];
    group.total += row.prompt_tokens + row.completion_tokens;
  }
  const sign = order.down ? -1 : 1;
  return [...groups.values()].sort((a, b) => {
    const [x, y] = [a[order.field], b[order.field]];
    const first = names[0][0];
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y)
      || a[first].localeCompare(b[first]);
  });
}

function render() {
  if (!rows) return;
  const names = NAMES[shownBy];
  const columns = [...names, ...NUMBERS];
  if (!columns.some(([field]) => field === order.field)) order = { field: "total", down: true };
  const groups = put();

  show(table, groups.length > 0);
  $("sums-csv").disabled = !groups.length;
  if (!groups.length) {
    state(panel, "empty", "Nothing was recorded in this time.");
    text($("sums-note"), "");
    return;
  }
  state(panel);
  const focused = document.activeElement?.dataset?.field;
  table.tHead.replaceChildren(h("tr", {}, columns.map(([field, words], i) =>
    h("th", {
      scope: "col", class: i >= names.length ? "n" : null,
      "aria-sort": field === order.field ? (order.down ? "descending" : "ascending") : "none",
    }, h("button", {
      type: "button", class: "sort", "data-field": field,
      onclick() {
        order = { field, down: field === order.field ? !order.down : i >= names.length };
        render();
      },
    }, words)))));
  if (focused) table.tHead.querySelector(`[data-field="${CSS.escape(focused)}"]`)?.focus();
  table.tBodies[0].replaceChildren(...groups.slice(0, SHOWN).map((g) => h("tr", {}, columns.map(([field], i) =>
    i >= names.length ? h("td", { class: "n" }, num(g[field]))
      : h("td", {}, field === "bucket" ? hour(g.bucket) : g[field])))));
  table.tFoot.replaceChildren(h("tr", {}, h("th", { scope: "row", colspan: String(names.length) }, "Total"),
    NUMBERS.map(([field]) => h("td", { class: "n" }, num(groups.reduce((n, g) => n + g[field], 0))))));
  text($("sums-note"), plural(groups.length, "row")
    + (groups.length > SHOWN ? `, the first ${num(SHOWN)} shown` : "")
    + (shownBy === "all" && rows.length === LIMIT ? `; the newest ${num(LIMIT)} rows of /stats only` : ""));
}

// A cell that a spreadsheet would take for a formula gets an apostrophe.
function cell(value) {
  let words = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
  return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

function csv() {
  const columns = [...NAMES[shownBy], ...NUMBERS].map(([field]) => field);
  const lines = [columns, ...put().map((g) => columns.map((field) => g[field]))];
  const url = URL.createObjectURL(new Blob([lines.map((l) => `${l.map(cell).join(",")}\r\n`).join("")],
    { type: "text/csv" }));
  const link = h("a", { href: url, download: `ollama-usage-by-${shownBy}-${new Date().toISOString().slice(0, 10)}.csv` });
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
  const kind = by();
  const now = Date.now();
  // whole hours, this one included, as in the panel of the last 24
  const first = Math.floor(now / HOUR) * HOUR - (Number($("sums-range").value) - 1) * HOUR;
  const got = [];

  try {
    for (let to = Math.ceil(now / DAY) * DAY; to > first && (kind !== "all" || got.length < LIMIT); to -= DAY) {
      got.push(...await part(kind, Math.max(first, to - DAY), to, now));
      if (turn !== asked) return;
    }
    rows = got.slice(0, kind === "all" ? LIMIT : undefined);
    shownBy = kind;
    render();
  } catch (error) {
    if (!rows) state(panel, "error", `The sums are not to be had: ${error.message}.`);
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
