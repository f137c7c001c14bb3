// Right now: what runs and what waits, as the proxy says once a second.

import { $, h, state, text, throttle } from "./dom.js";
import { at, clock, decimal, num, plural } from "./format.js";
import { all } from "./keys.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const panel = $("now");
const RATE_MS = 10000;
const past = []; // [time, requests, tokens] of the last seconds
let health = null;

function figure(words, value, kind, title) {
  return h("div", { class: kind ?? null, title: title ?? null }, h("dt", {}, words), h("dd", {}, value));
}

function rate() {
  const first = past[0];
  const last = past.at(-1);
  if (!first || last[0] - first[0] < 2000) return null;
  const s = (Math.max(last[0], Date.now()) - first[0]) / 1000;
  return [(last[1] - first[1]) / s, (last[2] - first[2]) / s];
}

function render() {
  if (!health) return;
  const boxes = health.proxies.filter((p) => p.connected && p.outbox).map((p) => p.outbox);
  const sum = (field) => boxes.reduce((n, o) => n + o[field], 0);
  const dropped = sum("dropped_records");
  const speed = rate();

  text($("now-rate"), speed ? `${decimal(speed[0])} requests/s, ${num(Math.round(speed[1]))} tokens/s` : "");
  if (!boxes.length) {
    state(panel, "empty", "No proxy has sent figures yet; it does so once a second.");
    return;
  }
  state(panel);
  $("now-figures").replaceChildren(
    figure("Running", num(sum("running"))),
    figure("Waiting for a slot", num(sum("waiting")), sum("waiting") ? "warn" : null),
    figure("To be recorded", num(sum("unacknowledged")), dropped ? "bad" : null,
      dropped ? `${plural(dropped, "record")} lost: the outbox was full`
        : "Records on their way from nginx to ollama-statsd"));
}

function renderKeys() {
  const busy = all().filter((k) => k.state !== "disabled")
    .sort((a, b) => b.in_flight - a.in_flight).slice(0, 6);
  const most = Math.max(1, ...busy.map((k) => k.max_concurrent ?? k.in_flight));

  $("now-keys").replaceChildren(...busy.map((key) => {
    const bar = h("i", {});
    const of = key.max_concurrent || most;
    bar.style.width = `${Math.min(100, key.in_flight / of * 100)}%`;
    return h("li", {}, h("span", { class: "name" }, key.name),
      h("span", { class: "bar", "aria-hidden": "true" }, bar),
      h("span", { class: "n" }, key.max_concurrent
        ? `${num(key.in_flight)} of ${num(key.max_concurrent)}` : num(key.in_flight)));
  }));
}

async function loadEvents() {
  let list;

  try {
    list = await get("/stats/events?limit=5");
  } catch {
    return; // what is shown stays
  }
  $("now-events").replaceChildren(...list.map((e) => {
    const over = !e.until;
    return h("li", { class: over ? "ok" : "warn" },
      h("time", { datetime: e.time }, clock(e.time)),
      h("span", {}, h("b", {}, e.key ?? e.key_fingerprint), " ",
        over ? "is free again" : `${e.reason || e.status}${e.http ? ` (${e.http})` : ""}`,
        e.model ? ` for ${e.model}` : "",
        over ? "" : `, until ${at(Date.parse(e.until))}`));
  }));
  if (!list.length) $("now-events").replaceChildren(h("li", { class: "muted" }, "nothing"));
}

export function start() {
  const events = throttle(1000, unlessPaused(loadEvents));
  let before = "";

  live.addEventListener("health", ({ detail }) => {
    health = detail;
    if (detail.totals) {
      const now = Date.now();
      past.push([now, detail.totals.requests, detail.totals.total_tokens]);
      while (past.length > 2 && now - past[1][0] > RATE_MS) past.shift();
    }
    render();
  });
  addEventListener("keys", () => {
    const states = JSON.stringify(all().map((k) => [k.state, k.status, k.blocked_models.length]));
    renderKeys();
    if (states !== before) {
      // nginx knows it first, the ledger a moment later
      setTimeout(events, 500);
      setTimeout(events, 3000);
    }
    before = states;
  });
  live.addEventListener("refresh", events);
  setInterval(() => { if (!live.paused) render(); }, 2000);
}
