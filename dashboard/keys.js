// The keys: a card each. What nginx says at /health/keys is the truth; the
// figures that move (in flight, tokens) come with the stream in between.

import { $, h, show, state, text, throttle, toast } from "./dom.js";
import { at, clock, compact, num, percent, plural, span } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get, post } from "./net.js";
import { spark } from "./spark.js";

const GROUPED = 6;
const SHOWN = 60;
const PAUSES = [["5 min", 300], ["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400]];

const panel = $("keys");
const keys = new Map(); // "key_0" -> what is known of it
const cards = new Map();
const sparks = new Map(); // fingerprint -> list of sums
const open = new Set(["trouble", "fine"]);
let shown = SHOWN;
let layout = "";

// The keys as other panels want them.
export const all = () => [...keys.values()];

const tones = {
  healthy: "ok", half_open: "info", slots: "warn", paused: "warn",
  penalized: "warn", exhausted: "warn", invalid: "bad", disabled: "off",
};

function tone(key) {
  if (key.state === "healthy" && !key.eligible) return "info";
  return tones[key.state] ?? "warn";
}

const troubled = (key) => !["healthy", "half_open", "disabled"].includes(key.state);
const group = (key) => key.state === "disabled" ? "off" : troubled(key) ? "trouble" : "fine";

function sentence(key) {
  const words = key.status;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function countdown(key) {
  if (!key.until) return "";
  const left = (key.until - Date.now()) / 1000;
  return left > 0 ? `back in ${span(left)}, at ${at(key.until)}` : "back any moment";
}

/* ---- a card ---- */

function make(key) {
  const card = { key };
  const name = h("h3", {}, key.name);
  const pause = h("details", { class: "menu" },
    h("summary", { "aria-label": `Pause ${key.name}` }, "Pause"),
    h("div", { class: "sheet" }, PAUSES.map(([words, seconds]) =>
      h("button", { type: "button", onclick: () => act(card, "penalize", seconds, words) }, words))));

  card.word = h("p", { class: "status" });
  card.reason = h("p", { class: "reason" });
  card.back = h("p", { class: "back" });
  card.tokens = h("dd", {});
  card.flight = h("dd", {});
  card.share = h("dd", {});
  card.bar = h("i", {});
  card.spark = h("div", { class: "spark-box" });
  card.blocked = h("ul", { class: "blocked", "aria-label": "Models it may not serve" });
  card.menu = pause;
  card.reset = h("button", {
    type: "button", class: "quiet", "aria-label": `Reset ${key.name}`,
    onclick: () => act(card, "reset"),
  }, "Reset");
  card.node = h("article", { class: "key", "data-key": key.id },
    h("header", {}, h("span", { class: "dot", "aria-hidden": "true" }), name,
      h("code", {}, key.fingerprint)),
    card.word, card.reason, card.back,
    h("dl", {},
      h("div", {}, h("dt", {}, "Tokens, 2 h"), card.tokens),
      h("div", {}, h("dt", {}, "In flight"), card.flight),
      h("div", {}, h("dt", {}, "Share"), card.share)),
    h("div", { class: "bar", "aria-hidden": "true" }, card.bar),
    card.spark, card.blocked,
    h("footer", {}, pause, card.reset));
  pause.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pause.open = false;
  });
  return card;
}

function paint(card, sum) {
  const { key } = card;
  const share = sum ? key.usage_2h / sum : 0;
  const slots = key.max_concurrent;

  card.node.className = `key ${tone(key)}`;
  text(card.word, sentence(key));
  const more = key.reason && key.reason !== key.status ? key.reason : "";
  text(card.reason, more);
  show(card.reason, more !== "");
  text(card.back, countdown(key));
  show(card.back, Boolean(key.until));
  text(card.tokens, compact(key.usage_2h));
  card.tokens.title = num(key.usage_2h);
  text(card.flight, slots ? `${num(key.in_flight)} of ${num(slots)}` : num(key.in_flight));
  text(card.share, sum ? percent(share) : "–");
  card.bar.style.width = `${share * 100}%`;
  card.reset.disabled = !(troubled(key) || key.blocked_models.length || key.backoff_level);

  const blocks = key.blocked_models.map((b) => `${b.model} (${b.status})`).join("\n");
  if (card.blocks !== blocks) {
    card.blocks = blocks;
    card.blocked.replaceChildren(...key.blocked_models.map((b) =>
      h("li", { title: `refused with ${b.status}, tried again in ${span(b.expires_in)}` },
        `not ${b.model}`)));
  }
  const shape = sparks.get(key.fingerprint);
  if (shape && card.shape !== shape) {
    card.shape = shape;
    card.spark.replaceChildren(spark(shape.values,
      `Tokens of ${key.name} in the last 2 h: ${num(shape.sum)}`, shape.titles));
  }
}

async function act(card, action, seconds, words) {
  const { key } = card;
  const n = key.id.slice(4);
  card.menu.open = false;
  card.node.setAttribute("aria-busy", "true");
  try {
    take(key.id, await post(`/health/keys/${n}/${action}${seconds ? `?seconds=${seconds}` : ""}`));
    toast(action === "reset" ? `${key.name} is back in the pool` : `${key.name} is paused for ${words}`);
    render();
  } catch (error) {
    toast(`${key.name}: ${error.message}`, "bad");
  }
  card.node.removeAttribute("aria-busy");
}

/* ---- all of them ---- */

function pool(list) {
  const on = list.filter((k) => k.state !== "disabled");
  const able = on.filter((k) => k.eligible).length;
  const back = on.filter((k) => !k.eligible && k.until).map((k) => k.until).sort((a, b) => a - b)[0];
  const until = back ? `; the next is back in ${span((back - Date.now()) / 1000)}, at ${at(back)}` : "";
  const full = on.some((k) => k.state === "healthy" && !k.eligible);
  let words = `${plural(on.length, "key")}, all able to serve`;
  let kind = "ok";

  if (!on.length) {
    words = "All keys are switched off";
    kind = "bad";
  } else if (!able && full) {
    words = `All slots are taken: requests wait${until}`;
    kind = "warn";
  } else if (!able) {
    words = `The pool is short: no key can serve${until}`;
    kind = "bad";
  } else if (able < on.length) {
    words = `${num(able)} of ${plural(on.length, "key")} can serve${until}`;
    kind = "warn";
  }
  text($("pool"), words);
  $("pool").className = `sub ${kind}`;
}

const titles = {
  trouble: ["in trouble", "bad"], fine: ["able to serve", "ok"], off: ["switched off", "off"],
};

function arrange(list) {
  const order = list.length > GROUPED ? ["trouble", "fine", "off"] : [null];
  const plan = order.map((name) => [name, name ? list.filter((k) => group(k) === name) : list])
    .filter(([, members]) => members.length);
  const now = JSON.stringify([shown, plan.map(([name, members]) =>
    [name, members.slice(0, shown).map((k) => k.id + k.fingerprint), members.length])]);

  if (now === layout) return;
  layout = now;
  $("key-groups").replaceChildren(...plan.map(([name, members]) => {
    const grid = h("div", { class: "cards" }, members.slice(0, shown).map((key) => {
      let card = cards.get(key.id);
      if (!card || card.key.fingerprint !== key.fingerprint || card.key.name !== key.name) {
        card = make(key);
        cards.set(key.id, card);
      }
      return card.node;
    }), members.length > shown && h("button", {
      type: "button", class: "quiet more",
      onclick() { shown += SHOWN; render(); },
    }, `${num(members.length - shown)} more`));
    if (!name) return grid;
    const fold = h("details", { class: `group ${titles[name][1]}`, open: open.has(name) },
      h("summary", {}, `${plural(members.length, "key")} ${titles[name][0]}`), grid);
    fold.addEventListener("toggle", () => fold.open ? open.add(name) : open.delete(name));
    return fold;
  }));
}

function render() {
  const list = all();
  const sum = list.reduce((n, k) => n + k.usage_2h, 0);

  if (!list.length) return;
  state(panel);
  arrange(list);
  for (const key of list) {
    const card = cards.get(key.id);
    if (!card) continue;
    card.key = key;
    if (card.node.isConnected) paint(card, sum);
  }
  pool(list);
  dispatchEvent(new Event("keys"));
}

function take(id, key) {
  keys.set(id, { ...key, id, until: key.expires_in > 0 ? Date.now() + key.expires_in * 1000 : 0 });
}

async function load() {
  try {
    const answer = await get("/health/keys");
    for (const id of keys.keys()) if (!(id in answer)) { keys.delete(id); cards.delete(id); }
    for (const [id, key] of Object.entries(answer)) take(id, key);
    if (!keys.size) state(panel, "empty", "There are no keys in the configuration.");
    render();
  } catch (error) {
    if (!keys.size) state(panel, "error", `The keys are not to be had: ${error.message}.`);
  }
}

async function loadSparks() {
  const step = 5;
  const first = Math.floor(Date.now() / 300000) * 300000 - 23 * 300000;
  const sums = new Map();

  try {
    for (const row of await get(`/stats/minute?window=120&step=${step}&by=key`)) {
      const at = (Date.parse(row.minute) - first) / 300000;
      if (at < 0 || at > 23) continue;
      if (!sums.has(row.key_fingerprint)) sums.set(row.key_fingerprint, new Array(24).fill(0));
      sums.get(row.key_fingerprint)[at] += row.total_tokens;
    }
  } catch {
    return; // the cards do without
  }
  for (const key of keys.values()) {
    const values = sums.get(key.fingerprint) ?? new Array(24).fill(0);
    sparks.set(key.fingerprint, {
      values,
      sum: values.reduce((a, b) => a + b, 0),
      titles: values.map((v, i) => `${clock(first + i * 300000)}: ${num(v)}`),
    });
  }
  render();
}

export function start() {
  // thousands of keys are not asked for each second
  const soon = throttle(() => Math.max(1000, keys.size * 2), unlessPaused(load));
  const shapes = throttle(() => Math.max(15000, keys.size * 10), unlessPaused(loadSparks));
  const paintSoon = throttle(250, render);

  live.addEventListener("keys", ({ detail }) => {
    const known = new Map(all().map((k) => [k.fingerprint, k]));
    for (const news of detail) {
      const key = known.get(news.key_fingerprint);
      if (!key || key.eligible !== news.eligible || key.status !== news.status
          || (key.reason ?? "") !== (news.reason ?? "")) soon();
      if (!key || !news.seen) continue;
      key.in_flight = news.in_flight;
      key.usage_2h = news.usage_2h;
    }
    paintSoon();
  });
  live.addEventListener("queries", () => shapes());
  live.addEventListener("refresh", () => { load(); loadSparks(); });
  setInterval(() => {
    if (document.hidden || live.paused) return;
    for (const key of keys.values()) if (key.until && key.until < Date.now()) soon();
    render();
  }, 1000);
  setInterval(() => { if (!document.hidden && !live.paused) soon(); }, 5000);
  setInterval(() => { if (!document.hidden && !live.paused) shapes(); }, 60000);
  addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]"))
      if (!menu.contains(event.target)) menu.open = false;
  });
  load().then(loadSparks);
}
