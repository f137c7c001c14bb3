// Right now: how much runs and waits, and what was held against keys lately.

import { $, h, state, text, throttle } from "./dom.js";
import { at, clock, decimal, num, plural } from "./format.js";
import { all } from "./keys.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const panel = $("now");
const RATE_MS = 10000;
const past = []; // [time, requests, tokens] of the last seconds
let health = null;
let running = { total: 0, waiting: 0 };

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
  const { total, waiting } = running;
  const dropped = sum("dropped_records");
  const speed = rate();

  text($("now-rate"), speed ? `${decimal(speed[0])} requests/s, ${num(Math.round(speed[1]))} tokens/s` : "");
  if (!boxes.length) {
    state(panel, "empty", "No proxy has sent figures yet; it does so once a second.");
    return;
  }
  state(panel);
  $("now-figures").replaceChildren(
    figure("Running", num(total - waiting)),
    figure("Waiting for a slot", num(waiting), waiting ? "warn" : null),
    figure("To be recorded", num(sum("unacknowledged")), dropped ? "bad" : null,
      dropped ? `${plural(dropped, "record")} lost: the outbox was full`
        : "Records on their way from nginx to ollama-statsd"));
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
  live.addEventListener("running", ({ detail }) => {
    running = detail;
    render();
  });
  addEventListener("keys", () => {
    const states = JSON.stringify(all().map((k) => [k.state, k.status, k.blocked_models.length]));
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
