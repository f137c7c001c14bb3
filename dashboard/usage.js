// Token usage over time, stacked by model, key or client, with the sum as a
// line. The canvas is drawn by Chart.js (chart.js, made at the build); the
// table below it holds the same numbers and needs nothing.

import { $, choice, colour, h, remember, show, state, table, text, throttle } from "./dom.js";
import { compact, hm, num, percent, plural } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const WINDOWS = { 10: ["10m", 1], 60: ["60m", 1], 120: ["2h", 2], 240: ["4h", 5],
  360: ["6h", 5], 720: ["12h", 10], 1440: ["24h", 20] };
const BY = { model: "model", key: "key", client: "client" };
const SERIES = 20;
const MOST = 2 * SERIES; // names that are asked for: several addresses may have one
const FEW = 8; // series in the legend of a phone, before "more"
// What a tip has room for: characters of a name, series.
const TIP = { wide: [40, 10], narrow: [20, 6] };
const COLOURS = ["#4c7fd9", "#e0803a", "#3f9f6d", "#c9515c", "#8a6bd1", "#b0873c", "#d16ba5",
  "#3a9fb5", "#7d8b33", "#a0623f", "#6a7fa8", "#c99a00", "#5fae9b", "#b24d8f", "#5566c4",
  "#c27b5f", "#4f9640", "#9c7fc0", "#808891", "#2f8f8f"];

const panel = $("usage");
const given = new Map(); // id -> colour: a series keeps its own
const picked = new Set(); // ids: those hidden, or the only ones shown
const entries = new Map(); // id -> element of the legend
const minutes = { hour: "2-digit", minute: "2-digit" };
const today = new Intl.DateTimeFormat(undefined, minutes);
const dated = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", ...minutes });
let only = false; // which of the two
let by = remember("usage-by") in BY ? remember("usage-by") : "model";
let span = remember("usage-window") in WINDOWS ? Number(remember("usage-window")) : 60;
let data = null;
let chart = null;
let asked = 0;

// What a row belongs to: [id, name]. A client is its name, wherever it calls
// from; an address only without one.
function owner(row) {
  if (by === "client") return row.client_name ? [`name ${row.client_name}`, row.client_name]
    : [`address ${row.client_ip}`, row.client_ip];
  const name = by === "key" ? row.key ?? "none" : row.model || "(none)";
  return [name, name];
}

const unit = () => WINDOWS[span][1] === 1 ? "tokens per minute" : `tokens per ${WINDOWS[span][1]} min`;

// Rows of the daemon into a grid: series by time, gaps 0. The last step is not
// over yet.
function grid(rows) {
  const step = WINDOWS[span][1] * 60000;
  const last = Math.floor(Date.now() / step) * step;
  const first = Math.floor((Math.floor(Date.now() / 60000) - span + 1) * 60000 / step) * step;
  const n = (last - first) / step + 1;
  const sums = new Map();

  for (const row of rows) {
    const at = (Date.parse(row.minute) - first) / step;
    if (at < 0 || at >= n) continue;
    const [id, name] = owner(row);
    if (!sums.has(id)) sums.set(id, { id, name, total: 0, values: new Array(n).fill(0), from: new Set() });
    const series = sums.get(id);
    series.values[at] += row.total_tokens;
    series.total += row.total_tokens;
    if (row.client_name) series.from.add(row.client_ip);
    if (row.others) series.others = row.others;
  }
  const ranked = [...sums.values()].filter((s) => s.total)
    .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  const sorted = ranked.filter((s) => !s.others);
  const rest = [...sorted.splice(SERIES), ...ranked.filter((s) => s.others)];
  if (rest.length) {
    sorted.push(rest.reduce((other, s) => {
      other.total += s.total;
      s.values.forEach((v, i) => { other.values[i] += v; });
      return other;
    }, {
      id: "\nothers", name: plural(rest.reduce((sum, s) => sum + (s.others ?? 1), 0), "other"), total: 0,
      values: new Array(n).fill(0), from: new Set(), rest: true,
    }));
  }
  for (const s of sorted) {
    if (s.rest) s.colour = "#80888f";
    else if (given.has(s.id)) s.colour = given.get(s.id);
    else {
      const used = new Set(sorted.map((x) => given.get(x.id)));
      s.colour = COLOURS.find((c) => !used.has(c)) ?? COLOURS[given.size % COLOURS.length];
      given.set(s.id, s.colour);
    }
  }
  const times = Array.from({ length: n }, (_, i) => first + i * step);
  return { times, step, series: sorted, by: BY[by], last: WINDOWS[span][0], unit: unit() };
}

const shows = (s) => picked.has(s.id) === only;
const visible = () => data.series.filter(shows);
const sumsOf = (list) => data.times.map((_, i) => list.reduce((n, s) => n + s.values[i], 0));

/* ---- canvas ---- */

// "11:10 – 11:11 PM"; with the day unless that is today.
function period(from, to) {
  const day = new Date().toDateString();
  const short = [from, to].every((t) => new Date(t).toDateString() === day);
  return (short ? today : dated).formatRange(from, to);
}

function brief(name, most) {
  const letters = [...name];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : name;
}

// The greatest of a bar, each with its part of the whole.
function tip() {
  const whole = (i) => visible().reduce((n, s) => n + s.values[i], 0);
  const sort = (a, b) => b.raw - a.raw || a.datasetIndex - b.datasetIndex;
  const room = ({ chart }) => chart.width < 500 ? TIP.narrow : TIP.wide;
  const part = (n) => n < 0.005 ? `<${percent(0.01)}` : percent(n);

  return {
    itemSort: sort,
    filter: (item, i, list) => item.dataset.type === "bar" && item.raw > 0
      && list.filter((x) => x.dataset.type === "bar" && sort(x, item) < 0).length < room(item)[1],
    callbacks: {
      title: ([item]) => item ? period(data.times[item.dataIndex], data.times[item.dataIndex] + data.step) : "",
      beforeBody: ([item]) => item && visible().length > 1
        ? `Sum${item.dataIndex === data.times.length - 1 ? " so far" : ""}: ${num(whole(item.dataIndex))}` : "",
      label: (item) => ` ${brief(item.dataset.label, room(item)[0])}: ${num(item.raw)}`
        + ` (${part(item.raw / whole(item.dataIndex))})`,
      footer: (items) => {
        if (!items.length) return "";
        const more = visible().filter((s) => s.values[items[0].dataIndex]).length - items.length;
        return more > 0 ? `and ${num(more)} more` : "";
      },
    },
  };
}

function options() {
  const ink = colour("muted");
  const line = colour("line");
  const font = { family: getComputedStyle(document.body).fontFamily, size: 11 };

  return {
    animation: false,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    scales: {
      x: {
        stacked: true,
        grid: { display: false },
        border: { display: false },
        ticks: { color: ink, font, maxRotation: 0, autoSkipPadding: 24 },
      },
      y: {
        stacked: true,
        beginAtZero: true,
        suggestedMax: 10,
        grid: { color: line, drawBorder: false },
        ticks: { color: ink, font, maxTicksLimit: 6, callback: (v) => compact(v) },
      },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: colour("tip"), titleColor: colour("tip-ink"), bodyColor: colour("tip-ink"),
        footerColor: colour("tip-ink"), padding: 10, boxWidth: 9, boxHeight: 9, boxPadding: 4,
        ...tip(),
      },
    },
  };
}

function draw() {
  const canvas = $("usage-chart");
  const shown = visible();
  const sums = sumsOf(shown);
  const total = sums.reduce((a, b) => a + b, 0);

  canvas.setAttribute("aria-label", `Tokens by ${data.by} in the last ${data.last}: `
    + `${num(total)} in all, the most in one bar ${num(Math.max(0, ...sums))}`
    + (shown.length ? `; first is ${shown[0].name} with ${num(shown[0].total)}` : ""));
  show(canvas.parentNode, Boolean(globalThis.Chart));
  if (!globalThis.Chart) {
    panel.querySelector(".behind").open = true;
    return;
  }

  const datasets = [
    ...(shown.length > 1 ? [{
      // not into the last step, where it would fall whenever one begins
      type: "line", label: "Sum", data: [...sums.slice(0, -1), null], stack: "sum", order: 0,
      borderColor: colour("ink"), borderWidth: 1.25, pointRadius: 0, pointHitRadius: 0, tension: 0,
      backgroundColor: colour("ink"),
    }] : []),
    ...shown.map((s) => ({
      type: "bar", label: s.name, data: s.values, stack: "tokens", order: 1,
      backgroundColor: s.colour, hoverBackgroundColor: s.colour, categoryPercentage: 0.92,
      barPercentage: 0.96,
    })),
  ];
  const labels = data.times.map((t) => hm(t));

  if (!chart) {
    chart = new globalThis.Chart(canvas, { data: { labels, datasets }, options: options() });
    return;
  }
  chart.data = { labels, datasets };
  chart.update("none");
}

/* ---- around it ---- */

function toggle(id) {
  if (!picked.delete(id)) picked.add(id);
  if (data.series.every(shows)) all();
}

function all() {
  only = false;
  picked.clear();
}

function none() {
  only = true;
  picked.clear();
}

// Only this one; all, if it is the only one already.
function isolate(id) {
  const shown = visible();
  if (shown.length === 1 && shown[0].id === id) return all();
  none();
  return picked.add(id);
}

function repaint() {
  legend();
  draw();
  behind();
}

function entry(id) {
  const one = {
    patch: h("i", { "aria-hidden": "true" }), name: h("span", { class: "name" }), n: h("span", { class: "n" }),
  };
  const act = (fn) => {
    fn(id);
    repaint();
  };

  one.button = h("button", {
    type: "button",
    onclick: (event) => act(event.altKey ? isolate : toggle),
    ondblclick: (event) => event.altKey || act(isolate),
  }, one.patch, one.name, one.n);
  one.node = h("li", {}, one.button);
  return one;
}

// Puts the entries in order around the one that has the focus, which would lose
// it if it were moved itself.
function arrange(list, nodes) {
  if (nodes.length === list.children.length && nodes.every((node, i) => node === list.children[i])) return;
  const fixed = nodes.find((node) => node.contains(document.activeElement));
  for (const node of [...list.children]) if (!nodes.includes(node)) node.remove();
  const at = nodes.indexOf(fixed);
  if (fixed) fixed.before(...nodes.slice(0, at));
  list.append(...nodes.slice(at + 1));
}

function legend() {
  const list = $("usage-legend");
  const ids = new Set(data.series.map((s) => s.id));
  const shown = visible().length;
  const more = data.series.length - FEW;

  for (const id of entries.keys()) if (!ids.has(id)) entries.delete(id);
  for (const [i, s] of data.series.entries()) {
    if (!entries.has(s.id)) entries.set(s.id, entry(s.id));
    const one = entries.get(s.id);
    one.node.classList.toggle("further", i >= FEW && one.button !== document.activeElement);
    one.patch.style.backgroundColor = s.colour;
    text(one.name, s.name);
    text(one.n, compact(s.total));
    one.button.setAttribute("aria-pressed", String(shows(s)));
    one.button.title = [`${s.name}: ${num(s.total)}`, s.from.size && `from ${[...s.from].join(", ")}`,
      "Double click or Alt+click: only this one"].filter(Boolean).join("\n");
  }
  arrange(list, data.series.map((s) => entries.get(s.id).node));

  show($("usage-all"), shown < data.series.length);
  show($("usage-none"), shown > 0 && shown < data.series.length);
  show($("usage-more"), more > 0);
  const open = list.classList.contains("all");
  $("usage-more").setAttribute("aria-expanded", String(open));
  text($("usage-more"), open ? "Fewer series" : `+${num(more)} more`);
}

function behind() {
  const details = panel.querySelector(".behind");
  if (!details.open) return;
  const shown = visible();
  const sums = sumsOf(shown);
  details.querySelector(".scroll").replaceChildren(table(
    ["Time", "Sum", ...shown.map((s) => s.name)],
    data.times.map((t, i) => [hm(t), num(sums[i]), ...shown.map((s) => num(s.values[i]))]).reverse(),
    `Tokens by ${data.by}, the last ${data.last}`));
}

function render() {
  text($("usage-unit"), data.unit);
  if (!data.series.length) {
    state(panel, "empty", `No tokens in the last ${data.last}. The chart begins with the first answer.`);
    return;
  }
  state(panel);
  repaint();
}

async function load() {
  const turn = ++asked;
  try {
    const rows = await get(`/stats/minute?window=${span}&step=${WINDOWS[span][1]}&by=${by}&top=${MOST}`);
    if (turn !== asked) return;
    const fresh = grid(rows);
    if (fresh.by !== data?.by) all();
    data = fresh;
    render();
  } catch (error) {
    if (turn !== asked) return;
    if (data?.series.length)
      state(panel, "stale", `Not up to date: ${error.message}. This is by ${data.by}, the last ${data.last}.`);
    else state(panel, "error", `The minutes are not to be had: ${error.message}.`);
  }
}

export function start() {
  choice($("usage-by"), Object.entries(BY), by, (value) => {
    by = value;
    remember("usage-by", value);
    load();
  });
  choice($("usage-window"), Object.entries(WINDOWS).map(([n, [words]]) => [Number(n), words]), span,
    (value) => {
      span = value;
      remember("usage-window", String(value));
      load();
    });
  // the button that was pressed goes, the focus stays with its neighbour
  $("usage-all").addEventListener("click", () => {
    all();
    repaint();
    $("usage-legend").querySelector("button").focus({ preventScroll: true });
  });
  $("usage-none").addEventListener("click", () => {
    none();
    repaint();
    $("usage-all").focus({ preventScroll: true });
  });
  $("usage-more").addEventListener("click", () => {
    $("usage-legend").classList.toggle("all");
    legend();
  });
  panel.querySelector(".behind").addEventListener("toggle", () => data && behind());
  text($("usage-unit"), unit());

  const soon = throttle(3000, unlessPaused(load));
  live.addEventListener("queries", soon);
  live.addEventListener("refresh", load);
  addEventListener("theme", () => {
    if (!chart) return;
    chart.destroy();
    chart = null;
    draw();
  });
  // time goes on without requests, too
  setInterval(() => { if (!document.hidden && !live.paused) soon(); }, 20000);
  load();
}
