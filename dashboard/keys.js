// The keys: a card each. What nginx says at /health/keys is the truth; the
// figures that move (in flight, tokens) come with the stream in between.

import { $, h, show, state, text, throttle, toast } from "./dom.js";
import { at, clock, compact, exactly, hour, num, percent, plural, span, usd } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get, post } from "./net.js";
import { spark } from "./spark.js";

const GROUPED = 6;
const SHOWN = 60;
const HIDDEN_MS = 30000;
const LOAD = "What the last 2 h have cost and running requests probably will (tokens, where nothing has "
  + "a price), divided by the key's weight: the next request goes to the key with the least";
const PAUSES = [["5 min", 300], ["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400]];

const panel = $("keys");
const keys = new Map(); // "key_0" -> what is known of it
const cards = new Map();
const sparks = new Map(); // fingerprint -> list of sums
const empties = new Map(); // fingerprint -> when its account will have nothing left
const folds = new Map(); // group -> its element
const open = new Set(matchMedia("(max-width: 700px)").matches ? ["trouble"] : ["trouble", "fine"]);
let shown = SHOWN;
let layout = "";
let waiting = 0; // requests, for a slot

// The keys as other panels want them.
export const all = () => [...keys.values()];

const tones = {
  healthy: "ok", half_open: "info", slots: "warn", paused: "warn",
  penalized: "warn", exhausted: "warn", invalid: "bad", disabled: "off",
  suspended: "bad",
};

function tone(key) {
  if (key.state === "healthy" && !key.eligible) return "info";
  return tones[key.state] ?? "warn";
}

const troubled = (key) => !["healthy", "half_open", "disabled"].includes(key.state);
const groupOf = (key) => key.state === "disabled" ? "off" : troubled(key) ? "trouble" : "fine";

const byHand = (key) => key.state === "penalized";
const load = (key) => key.load / key.weight;

// "$72.50 of $100.00 left, $25.00 purchased; renews Dec 1, 12:00 AM"
function balance(key) {
  const b = key.balance;
  const parts = [];

  if (!b) return "";
  if (b.included_usd !== undefined) {
    parts.push([`${usd(b.included_usd)} of ${usd(b.allowance_usd)} left`,
      b.purchased_usd && `${usd(b.purchased_usd)} purchased`].filter(Boolean).join(", "));
    if (b.renews_at) parts.push(`renews ${hour(b.renews_at)}`);
  } else {
    if (b.session_left !== undefined) parts.push(`session: ${percent(b.session_left)} left`);
    if (b.weekly_left !== undefined) parts.push(`week: ${percent(b.weekly_left)} left`);
  }
  const empty = empties.get(key.fingerprint);
  if (empty) parts.push(`empty ${hour(empty)} at this rate`);
  if (key.balance_trusted === false) parts.push(`told ${hour(b.seen_at)}, too long ago to go by`);
  return parts.join("; ");
}

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
  const name = h("h3", { title: key.name }, key.name);

  card.sheet = h("div", { class: "sheet" });
  card.handle = h("summary", { "aria-label": `Pause ${key.name}` }, "Pause");
  const pause = h("details", { class: "menu" }, card.handle, card.sheet);

  card.word = h("p", { class: "status" });
  card.reason = h("p", { class: "reason" });
  card.back = h("p", { class: "back" });
  card.balance = h("p", { class: "balance" });
  card.tokens = h("span", {});
  card.cost = h("small", { class: "money" });
  card.flight = h("dd", {});
  card.share = h("span", {});
  card.weight = h("small", {});
  card.bar = h("i", {});
  card.spark = h("div", { class: "spark-box" });
  card.blocked = h("ul", { class: "blocked", "aria-label": "Models it may not serve" });
  card.menu = pause;
  card.reset = h("button", {
    type: "button", class: "quiet", onclick: () => act(card, "reset"),
  });
  card.node = h("article", { class: "key", "data-key": key.id },
    h("header", {}, h("span", { class: "dot", "aria-hidden": "true" }), name,
      h("code", {}, key.fingerprint)),
    card.word, card.reason, card.back, card.balance,
    h("dl", {},
      h("div", {}, h("dt", {}, "Tokens, 2 h"), h("dd", {}, card.tokens, " ", card.cost)),
      h("div", {}, h("dt", {}, "In flight"), card.flight),
      h("div", { title: LOAD }, h("dt", {}, "Load share"), h("dd", {}, card.share, " ", card.weight))),
    h("div", { class: "bar", "aria-hidden": "true" }, card.bar),
    card.spark, card.blocked,
    h("footer", {}, pause, card.reset));
  pause.addEventListener("keydown", (event) => {
    if (event.key === "Escape") fold(card);
  });
  pause.addEventListener("toggle", () => { if (!pause.open) durations(card); });
  durations(card);
  return card;
}

// The menu is closed, and who has used it is where it was opened.
function fold(card) {
  const inside = card.menu.contains(document.activeElement);

  card.menu.open = false;
  if (inside) card.handle.focus();
}

function durations(card) {
  card.sheet.replaceChildren(...PAUSES.map(([words, seconds]) =>
    h("button", { type: "button", onclick: () => pauseFor(card, seconds, words) }, words)));
}

// Without the last key that can serve everything is refused: that is asked for
// twice.
function pauseFor(card, seconds, words) {
  const others = all().some((k) => k.id !== card.key.id && serving(k));

  if (others || !serving(card.key)) {
    act(card, "penalize", seconds, words);
    return;
  }
  const stay = h("button", { type: "button", onclick: () => fold(card) }, "Leave it");
  card.sheet.replaceChildren(
    h("p", {}, "The last key that can serve: all requests will be refused."),
    h("button", {
      type: "button", class: "danger", onclick: () => act(card, "penalize", seconds, words),
    }, `Pause it for ${words}`), stay);
  stay.focus();
}

function paint(card, sum, compactly) {
  const { key } = card;
  const share = sum ? load(key) / sum : 0;
  const slots = key.max_concurrent;

  card.node.className = `key ${tone(key)}${compactly ? " row" : ""}`;
  text(card.word, sentence(key));
  card.word.title = compactly ? sentence(key) : "";
  const more = key.reason && key.reason !== key.status ? key.reason : "";
  text(card.reason, more);
  show(card.reason, more !== "");
  text(card.back, countdown(key));
  show(card.back, Boolean(key.until));
  text(card.tokens, compact(key.usage_2h));
  card.tokens.title = num(key.usage_2h);
  text(card.cost, key.cost_2h ? usd(key.cost_2h) : "");
  card.cost.title = key.cost_2h ? exactly(key.cost_2h) : "";
  text(card.balance, balance(key));
  show(card.balance, Boolean(key.balance));
  text(card.flight, slots ? `${num(key.in_flight)} of ${num(slots)}` : num(key.in_flight));
  text(card.share, sum ? percent(share) : "–");
  text(card.weight, [key.weight !== 1 && `weight ${num(key.weight)}`, key.tier && `tier ${num(key.tier)}`]
    .filter(Boolean).join(", "));
  card.bar.style.width = `${share * 100}%`;

  const undo = byHand(key) ? "Resume" : "Reset";
  const idle = !(troubled(key) || key.blocked_models.length || key.backoff_level);
  text(card.reset, undo);
  card.reset.setAttribute("aria-label", `${undo} ${key.name}`);
  if (idle && card.reset === document.activeElement) card.handle.focus();
  card.reset.disabled = idle;

  const blocks = key.blocked_models.map((b) => `${b.model} (${b.status})`).join("\n");
  if (card.blocks !== blocks) {
    card.blocks = blocks;
    card.blocked.replaceChildren(...key.blocked_models.map((b) =>
      h("li", { title: `refused with ${b.status}, tried again at ${at(b.until)}` },
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
  fold(card);
  card.node.setAttribute("aria-busy", "true");
  try {
    // by its fingerprint: a reload may have put another key into its place
    take(key.id, await post(`/health/keys/${key.fingerprint}/${action}${seconds ? `?seconds=${seconds}` : ""}`));
    toast(action === "reset" ? `${key.name} is back in the pool` : `${key.name} is paused for ${words}`);
    render();
  } catch (error) {
    toast(`${key.name}: ${error.message}`, "bad");
  }
  card.node.removeAttribute("aria-busy");
}

/* ---- all of them ---- */

const serving = (k) => k.state !== "disabled" && !k.until; // if need be after a wait

// What is to be said of the pool: of `count` keys `able` can serve at once;
// `stuck`: none can, not even after a wait for a slot.
export function pool() {
  const on = all().filter((k) => k.state !== "disabled");
  const able = on.filter((k) => k.eligible).length;
  const back = on.filter((k) => !k.eligible && k.until).sort((a, b) => a.until - b.until)[0];
  const stuck = keys.size > 0 && !on.some(serving);
  const known = { able, count: on.length, back, stuck };
  const say = (kind, words) => ({ ...known, kind, words });

  if (!keys.size) return say("off", "");
  if (!on.length) return say("bad", "All keys are switched off");
  if (stuck) return say("bad", "The pool is short: no key can serve");
  if (!able) {
    return say("warn", waiting
      ? `${plural(waiting, "request")} ${waiting === 1 ? "waits" : "wait"} for a slot`
      : "All slots are taken: the next request waits for one");
  }
  if (able < on.length) return say("warn", `${num(able)} of ${plural(on.length, "key")} can serve`);
  return say("ok", `${plural(on.length, "key")}, all able to serve`);
}

// Models that each key that serves at all may not serve, and until when.
function refused() {
  const on = all().filter((k) => k.state !== "disabled");
  const able = on.filter(serving);
  const found = able[0]?.blocked_models.filter(({ model }) =>
    able.every((k) => k.blocked_models.some((b) => b.model === model))) ?? [];

  return found.map(({ model }) => {
    const ends = on.map((k) => Math.max(k.until,
      k.blocked_models.find((b) => b.model === model)?.until ?? 0));
    return `no key may serve ${model} until ${at(Math.min(...ends))}`;
  });
}

function line() {
  const { back, kind, stuck, words, able } = pool();
  const models = refused();
  const more = models.length > 2
    ? [...models.slice(0, 2), `nor ${plural(models.length - 2, "more model")}`] : models;
  let until = "";

  if (back) {
    const who = able || stuck ? "the next is back" : `${back.name} returns`;
    until = `; ${who} in ${span((back.until - Date.now()) / 1000)}, at ${at(back.until)}`;
  }
  text($("pool"), [words + until, ...more].join("; "));
  text($("pool-said"), [words, ...more].join("; "));
  $("pool").className = `sub ${models.length && kind === "ok" ? "warn" : kind}`;
}

function title(name, members) {
  if (name === "fine") return [`${plural(members.length, "key")} able to serve`, "ok"];
  if (name === "off") return [`${plural(members.length, "key")} switched off`, "off"];
  const paused = members.filter(byHand).length;
  const all = paused === members.length;
  return [`Not serving: ${num(members.length)}${paused
    ? ` (${all ? "" : `${num(paused)} `}paused by an operator)` : ""}`, all ? "warn" : "bad"];
}

function fill(grid, members) {
  grid.replaceChildren(...members.slice(0, shown).map((key) => {
    let card = cards.get(key.id);
    if (!card || card.key.fingerprint !== key.fingerprint || card.key.name !== key.name) {
      card = make(key);
      cards.set(key.id, card);
    }
    return card.node;
  }));
  if (members.length > shown) {
    grid.append(h("button", {
      type: "button", class: "quiet more",
      onclick() { shown += SHOWN; render(); },
    }, `${num(members.length - shown)} more`));
  }
}

function group(name) {
  const node = h("details", { class: "group", open: open.has(name) }, h("summary", {}));
  node.addEventListener("toggle", () => node.open ? open.add(name) : open.delete(name));
  return node;
}

function arrange(list) {
  const order = list.length > GROUPED ? ["trouble", "fine", "off"] : [null];
  const plan = order.map((name) => [name, name ? list.filter((k) => groupOf(k) === name) : list])
    .filter(([, members]) => members.length);
  const now = JSON.stringify([shown, plan.map(([name, members]) =>
    [name, members.slice(0, shown).map((k) => k.id + k.fingerprint), members.length])]);

  if (now !== layout) {
    layout = now;
    rearrange(plan);
  }
  for (const [name, members] of plan) {
    if (!name) continue;
    const [words, kind] = title(name, members);
    text(folds.get(name).firstElementChild, words);
    folds.get(name).className = `group ${kind}`;
  }
}

// Cards move with their keys, and the focus with them.
function rearrange(plan) {
  const focused = panel.contains(document.activeElement) ? document.activeElement : null;

  $("key-groups").replaceChildren(...plan.map(([name, members]) => {
    const grid = h("div", { class: !name || name === "trouble" ? "cards" : "cards narrow" });
    fill(grid, members);
    if (!name) return grid;
    if (!folds.has(name)) folds.set(name, group(name));
    folds.get(name).replaceChildren(folds.get(name).firstElementChild, grid);
    return folds.get(name);
  }));
  if (!focused || focused === document.activeElement) return;
  focused.focus({ preventScroll: true });
  if (focused !== document.activeElement) focused.closest(".group")?.firstElementChild.focus();
}

function render() {
  const list = all();
  const sum = list.reduce((n, k) => n + (k.state === "disabled" ? 0 : load(k)), 0);

  if (!list.length) return;
  state(panel);
  arrange(list);
  for (const key of list) {
    const card = cards.get(key.id);
    if (!card) continue;
    card.key = key;
    if (card.node.isConnected) paint(card, sum, list.length > GROUPED && groupOf(key) !== "trouble");
  }
  line();
  dispatchEvent(new Event("keys"));
}

function take(id, key) {
  const until = (seconds) => seconds > 0 ? Date.now() + seconds * 1000 : 0;

  keys.set(id, {
    ...key, id, until: until(key.expires_in),
    blocked_models: key.blocked_models.map((b) => ({ ...b, until: until(b.expires_in) })),
  });
}

async function ask() {
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
  const soon = throttle(() => Math.max(1000, keys.size * 2), unlessPaused(ask));
  const shapes = throttle(() => Math.max(15000, keys.size * 10), unlessPaused(loadSparks));
  const paintSoon = throttle(250, render);

  live.addEventListener("keys", ({ detail }) => {
    const known = new Map(all().map((k) => [k.fingerprint, k]));
    for (const news of detail) {
      const key = known.get(news.key_fingerprint);
      if (!key || key.eligible !== news.eligible || key.status !== news.status
          || (key.reason ?? "") !== (news.reason ?? "")) soon();
      empties.set(news.key_fingerprint, news.balance?.empty_at ?? null);
      if (!key || !news.seen) continue;
      key.in_flight = news.in_flight;
      key.usage_2h = news.usage_2h;
      key.reserved = news.reserved;
    }
    paintSoon();
  });
  live.addEventListener("running", ({ detail }) => { waiting = detail.waiting; paintSoon(); });
  live.addEventListener("queries", () => shapes());
  live.addEventListener("refresh", () => { ask(); loadSparks(); });
  setInterval(() => {
    if (document.hidden) return;
    for (const key of keys.values()) if (key.until && key.until < Date.now()) soon();
    render(); // a pause of the page stops no clock
  }, 1000);
  setInterval(() => { if (!document.hidden && !live.paused) soon(); }, 5000);
  setInterval(() => { if (!document.hidden && !live.paused) shapes(); }, 60000);
  // a page in the background tells by its title when no key can serve
  const seldom = throttle(() => Math.max(HIDDEN_MS, keys.size * 60), unlessPaused(ask));
  setInterval(() => { if (document.hidden) seldom(); }, HIDDEN_MS);
  addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]"))
      if (!event.composedPath().includes(menu)) menu.open = false;
  });
  ask().then(loadSparks);
}
