// Right now: how much runs and waits, and what was held against keys lately.

import { $, h, state, text, throttle } from "./dom.js";
import { at, clock, decimal, hour, num, percent, plural } from "./format.js";
import { all } from "./keys.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const panel = $("now");
const RATE_MS = 10000;
const ERRORS_MS = 10000;
const BACKLOG = 100; // records; fewer are always on their way
const EVENTS = 30;
const EVENTS_SHOWN = 8;
const past = []; // [time, requests, tokens] of the last seconds
let health = null;
let running = { total: 0, waiting: 0 };
let errors = null; // of the last minutes: { count, requests }

function figure(words, value, kind, title) {
  return h("div", { class: kind ?? null, title: title ?? null }, h("dt", {}, words),
    h("dd", {}, ...[value].flat()));
}

function rate() {
  const first = past[0];
  const last = past.at(-1);
  if (!first || last[0] - first[0] < 2000) return null;
  const s = (Math.max(last[0], Date.now()) - first[0]) / 1000;
  return [(last[1] - first[1]) / s, (last[2] - first[2]) / s];
}

function failed() {
  const words = "Errors, 5 min";

  if (!errors) return figure(words, "–");
  const { count, requests } = errors;
  const share = count ? h("small", {}, ` ${percent(count / requests)}`) : "";
  return figure(words, [num(count), share], count ? "warn" : null,
    `${num(count)} of ${plural(requests, "request")} were answered with an error or broke off`);
}

function render() {
  if (!health) return;
  const boxes = health.proxies.filter((p) => p.connected && p.outbox).map((p) => p.outbox);
  const sum = (field) => boxes.reduce((n, o) => n + o[field], 0);
  const { total, waiting } = running;
  const dropped = sum("dropped_records");
  const backlog = sum("unacknowledged");
  const speed = rate();

  text($("now-rate"), speed && !live.away
    ? `${decimal(speed[0])} requests/s, ${num(Math.round(speed[1]))} tokens/s` : "");
  if (live.away) {
    const title = "Nobody tells at the moment";
    state(panel);
    $("now-figures").replaceChildren(figure("Running", "–", null, title),
      figure("Waiting for a slot", "–", null, title), figure("Errors, 5 min", "–", null, title));
    return;
  }
  if (!boxes.length) {
    state(panel, "empty", "No proxy has sent figures yet; it does so once a second.");
    return;
  }
  state(panel);
  $("now-figures").replaceChildren(
    figure("Running", num(total - waiting)),
    figure("Waiting for a slot", num(waiting), waiting ? "warn" : null),
    failed(),
    ...dropped || backlog > BACKLOG ? [figure("To be recorded", num(backlog), dropped ? "bad" : "warn",
      dropped ? `${plural(dropped, "record")} lost: the outbox was full`
        : "Records on their way from nginx to ollama-statsd")] : []);
}

async function loadErrors() {
  try {
    const rows = await get("/stats/minute?window=5&by=all");
    const sum = (field) => rows.reduce((n, row) => n + (row[field] ?? 0), 0);
    errors = { count: sum("errors"), requests: sum("requests") };
    render();
  } catch {
    // the figure stays; the head says what is wrong
  }
}

// Trouble is what somebody looks for: where there is more than fits, what is
// over goes first, what an operator has ended before the rest.
function choose(list) {
  const over = (e) => !e.until;
  const cause = (e, i) => list.slice(i + 1).find((o) =>
    o.key_fingerprint === e.key_fingerprint && o.model === e.model && !over(o));
  const byHand = new Set(list.filter((e, i) => over(e) && /operator/.test(cause(e, i)?.reason ?? "")));
  let kept = list;

  const drop = (fits) => {
    for (let i = kept.length - 1; i >= 0 && kept.length > EVENTS_SHOWN; i--)
      if (fits(kept[i])) kept = kept.toSpliced(i, 1);
  };
  drop((e) => byHand.has(e));
  drop(over);
  return kept.slice(0, EVENTS_SHOWN);
}

function reason(e) {
  const words = e.reason || e.status;
  return e.http && !words.includes(String(e.http)) ? `${words} (${e.http})` : words;
}

// What the key's window had used when it came.
function used(e) {
  if (!e.used_requests) return "";
  const since = Date.parse(e.used_from);
  const from = Date.now() - since < 43200000 ? clock(since) : hour(since);
  return `; used ${num(e.used_tokens)} tokens in ${plural(e.used_requests, "request")} since ${from}`;
}

async function loadEvents() {
  let list;

  try {
    list = choose(await get(`/stats/events?limit=${EVENTS}`));
  } catch {
    return; // what is shown stays
  }
  $("now-events").replaceChildren(...list.map((e) => {
    const over = !e.until;
    return h("li", { class: over ? "ok" : "warn" },
      h("time", { datetime: e.time }, clock(e.time)),
      h("span", {}, h("b", {}, e.key ?? e.key_fingerprint), " ",
        over ? "is free again" : reason(e),
        e.model ? ` for ${e.model}` : "",
        over ? "" : `, until ${at(Date.parse(e.until))}`, used(e)));
  }));
  if (!list.length) $("now-events").replaceChildren(h("li", { class: "muted" }, "nothing"));
}

export function start() {
  const events = throttle(1000, unlessPaused(loadEvents));
  const soon = throttle(ERRORS_MS, unlessPaused(loadErrors));
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
  live.addEventListener("queries", soon);
  live.addEventListener("refresh", () => {
    events();
    loadErrors();
  });
  live.addEventListener("state", () => { if (!live.paused) render(); });
  setInterval(() => { if (!live.paused) render(); }, 2000);
  setInterval(() => { if (!document.hidden && !live.away) soon(); }, ERRORS_MS);
  loadErrors();
}
