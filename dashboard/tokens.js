// Tokens of the last 24 h, and whether that is more than the day before.

import { $, h, state, table, text, throttle } from "./dom.js";
import { change, compact, exactly, hour, num, percent, spent, usd } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";
import { spark } from "./spark.js";

const panel = $("tokens");
let rows = [];

const sum = (list, field) => list.reduce((n, row) => n + row[field], 0);

function trend(before, now) {
  const node = $("trend");

  if (!before) {
    text(node, now ? "nothing the day before" : "");
    node.className = "sub";
    return;
  }
  const by = now / before - 1;
  text(node, by > 9 ? `${compact(now / before)} times the day before` : `${change(by)} against the day before`);
  node.className = `sub ${by > 0 ? "up" : by < 0 ? "down" : ""}`;
  node.title = `${num(Math.round(before))} in the 24 h before`;
}

function render() {
  const now = rows.slice(24);
  const before = rows.slice(0, 24);
  const total = sum(now, "total_tokens");
  const prompt = sum(now, "prompt_tokens");
  const cached = sum(now, "cached_tokens");
  const requests = sum(now, "requests");
  const errors = sum(now, "errors");
  const estimated = sum(now, "estimated_tokens");
  const cost = sum(now, "cost_usd");
  const passed = Date.now() % 3600000 / 3600000;

  // both days up to the same minute of their last hour
  trend(sum(before.slice(0, -1), "total_tokens") + before.at(-1).total_tokens * passed, total);

  text($("total"), num(total));
  text($("cost"), total ? spent(cost, sum(now, "unpriced_tokens")) : "");
  $("cost").title = exactly(cost);
  $("hourly").replaceChildren(spark(now.map((row) => row.total_tokens),
    `Tokens by hour, the last 24 hours; the most in one hour is ${num(Math.max(...now.map((r) => r.total_tokens)))}`,
    now.map((row) => `${hour(row.hour_bucket)}: ${num(row.total_tokens)}`)));

  const kinds = [
    ["Prompt", num(prompt), "prompt"],
    ["Cached", cached && prompt ? `${num(cached)} (${percent(cached / prompt)})` : num(cached), "cached"],
    ["Completion", num(sum(now, "completion_tokens")), "completion"],
    ["Requests", num(requests), "requests"],
    ["Errors", errors && requests ? `${num(errors)} (${percent(errors / requests)})` : num(errors), "errors"],
    ["Estimated", estimated ? compact(estimated) : "0", "estimated"],
  ];
  $("kinds").replaceChildren(...kinds.map(([words, value, id]) =>
    h("div", { "data-kind": id }, h("dt", {}, words), h("dd", {}, value))));

  const behind = panel.querySelector(".behind");
  if (behind.open) fillTable(behind.querySelector(".scroll"));
  state(panel);
}

function fillTable(node) {
  node.replaceChildren(table(["Hour", "Prompt", "Cached", "Completion", "Total", "Cost", "Requests"],
    rows.slice(24).reverse().map((row) => [hour(row.hour_bucket), num(row.prompt_tokens),
      num(row.cached_tokens), num(row.completion_tokens), num(row.total_tokens), usd(row.cost_usd),
      num(row.requests)]),
    "Tokens by hour"));
}

async function load() {
  try {
    rows = await get("/stats/24h?hours=48");
    render();
  } catch (error) {
    if (rows.length) state(panel, "stale", `Not up to date: ${error.message}.`);
    else state(panel, "error", `The sums are not to be had: ${error.message}.`);
  }
}

export function start() {
  const soon = throttle(2000, unlessPaused(load));

  panel.querySelector(".behind").addEventListener("toggle", () => rows.length && render());
  live.addEventListener("queries", soon);
  live.addEventListener("refresh", load);
  setInterval(() => { if (!document.hidden && !live.paused) soon(); }, 60000);
  load();
}
