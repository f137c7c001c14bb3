// Token usage over time, stacked by model, key or client, with the sum as a
// line. The canvas is drawn by Chart.js (chart.js, made at the build); the
// table below it holds the same numbers and needs nothing.

import { $, choice, colour, h, remember, show, state, table, text, throttle } from "./dom.js";
import { compact, full, hm, num } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const WINDOWS = { 10: ["10m", 1], 60: ["60m", 1], 120: ["2h", 2], 240: ["4h", 5],
  360: ["6h", 5], 720: ["12h", 10], 1440: ["24h", 20] };
const BY = { model: "model", key: "key", client: "client" };
const SERIES = 20;
const COLOURS = ["#4c7fd9", "#e0803a", "#3f9f6d", "#c9515c", "#8a6bd1", "#b0873c", "#d16ba5",
  "#3a9fb5", "#7d8b33", "#a0623f", "#6a7fa8", "#c99a00", "#5fae9b", "#b24d8f", "#5566c4",
  "#c27b5f", "#4f9640", "#9c7fc0", "#808891", "#2f8f8f"];

const panel = $("usage");
const given = new Map(); // name -> colour: a series keeps its own
const hidden = new Set();
let by = remember("usage-by") in BY ? remember("usage-by") : "model";
let span = remember("usage-window") in WINDOWS ? Number(remember("usage-window")) : 60;
let data = null;
let chart = null;
let asked = 0;

function nameOf(row) {
  if (by === "key") return row.key ?? "none";
  if (by === "client") return row.client_name ? `${row.client_name} (${row.client_ip})` : row.client_ip;
  return row.model || "(none)";
}

// Rows of the daemon into a grid: series by time, gaps 0.
function grid(rows) {
  const step = WINDOWS[span][1] * 60000;
  const last = Math.floor(Date.now() / step) * step;
  const first = Math.floor((Math.floor(Date.now() / 60000) - span + 1) * 60000 / step) * step;
  const n = (last - first) / step + 1;
  const sums = new Map();

  for (const row of rows) {
    const at = (Date.parse(row.minute) - first) / step;
    if (at < 0 || at >= n) continue;
    const name = nameOf(row);
    if (!sums.has(name)) sums.set(name, { name, total: 0, values: new Array(n).fill(0) });
    const series = sums.get(name);
    series.values[at] += row.total_tokens;
    series.total += row.total_tokens;
  }
  const sorted = [...sums.values()].filter((s) => s.total)
    .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  const rest = sorted.splice(SERIES);
  if (rest.length) {
    sorted.push(rest.reduce((other, s) => {
      other.total += s.total;
      s.values.forEach((v, i) => { other.values[i] += v; });
      return other;
    }, { name: `${num(rest.length)} others`, total: 0, values: new Array(n).fill(0), rest: true }));
  }
  for (const s of sorted) {
    if (s.rest) s.colour = "#80888f";
    else if (given.has(s.name)) s.colour = given.get(s.name);
    else {
      const used = new Set(sorted.map((x) => given.get(x.name)));
      s.colour = COLOURS.find((c) => !used.has(c)) ?? COLOURS[given.size % COLOURS.length];
      given.set(s.name, s.colour);
    }
  }
  const times = Array.from({ length: n }, (_, i) => first + i * step);
  return { times, step, series: sorted };
}

function visible() {
  return data.series.filter((s) => !hidden.has(s.name));
}

/* ---- canvas ---- */

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
        itemSort: (a, b) => b.raw - a.raw,
        filter: (item, i, list) => item.raw > 0
          && list.filter((x) => x.raw > item.raw).length < 10,
        callbacks: {
          title: (items) => items.length
            ? `${full(data.times[items[0].dataIndex])} – ${hm(data.times[items[0].dataIndex] + data.step)}` : "",
          label: (item) => ` ${item.dataset.label}: ${num(item.raw)}`,
          footer: (items) => {
            if (!items.length) return "";
            const more = visible().filter((s) => s.values[items[0].dataIndex]).length
              - (items.length - 1);
            return more > 0 ? `and ${num(more)} more` : "";
          },
        },
      },
    },
  };
}

function draw() {
  const canvas = $("usage-chart");
  const shown = visible();
  const sums = data.times.map((_, i) => shown.reduce((n, s) => n + s.values[i], 0));
  const total = sums.reduce((a, b) => a + b, 0);

  canvas.setAttribute("aria-label", `Tokens by ${by} in the last ${WINDOWS[span][0]}: `
    + `${num(total)} in all, the most in one bar ${num(Math.max(0, ...sums))}`
    + (shown.length ? `; first is ${shown[0].name} with ${num(shown[0].total)}` : ""));
  show(canvas.parentNode, Boolean(globalThis.Chart));
  if (!globalThis.Chart) {
    panel.querySelector(".behind").open = true;
    return;
  }

  const datasets = [
    ...(shown.length > 1 ? [{
      type: "line", label: "Sum", data: sums, stack: "sum", order: 0, borderColor: colour("ink"),
      borderWidth: 1.25, pointRadius: 0, pointHitRadius: 0, tension: 0, backgroundColor: colour("ink"),
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

function legend() {
  $("usage-legend").replaceChildren(...data.series.map((s) => {
    const patch = h("i", { "aria-hidden": "true" });
    patch.style.backgroundColor = s.colour;
    return h("li", {}, h("button", {
      type: "button", "aria-pressed": String(!hidden.has(s.name)), title: num(s.total),
      onclick() {
        if (!hidden.delete(s.name)) hidden.add(s.name);
        this.setAttribute("aria-pressed", String(!hidden.has(s.name)));
        draw();
        behind();
      },
    }, patch, h("span", { class: "name" }, s.name), h("span", { class: "n" }, compact(s.total))));
  }));
}

function behind() {
  const details = panel.querySelector(".behind");
  if (!details.open) return;
  const shown = visible();
  details.querySelector(".scroll").replaceChildren(table(
    ["Time", "Sum", ...shown.map((s) => s.name)],
    data.times.map((t, i) => [hm(t), num(shown.reduce((n, s) => n + s.values[i], 0)),
      ...shown.map((s) => num(s.values[i]))]).reverse(),
    `Tokens by ${by}, the last ${WINDOWS[span][0]}`));
}

function render() {
  if (!data.series.length) {
    const line = panel.querySelector(".state");
    state(panel, "empty", `No tokens in the last ${WINDOWS[span][0]}. The chart begins with the first answer.`);
    text(line, line.textContent);
    return;
  }
  state(panel);
  legend();
  draw();
  behind();
}

async function load() {
  const turn = ++asked;
  try {
    const rows = await get(`/stats/minute?window=${span}&step=${WINDOWS[span][1]}&by=${by}`);
    if (turn !== asked) return;
    data = grid(rows);
    render();
  } catch (error) {
    if (!data) state(panel, "error", `The minutes are not to be had: ${error.message}.`);
  }
}

export function start() {
  choice($("usage-by"), Object.entries(BY), by, (value) => {
    by = value;
    hidden.clear();
    remember("usage-by", value);
    load();
  });
  choice($("usage-window"), Object.entries(WINDOWS).map(([n, [words]]) => [Number(n), words]), span,
    (value) => {
      span = value;
      remember("usage-window", String(value));
      load();
    });
  panel.querySelector(".behind").addEventListener("toggle", () => data && behind());

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
