// Recent requests: those of the ledger that the filters let through, then each
// new one as it comes.

import { $, h, show, state, text, throttle } from "./dom.js";
import { clock, exactly, full, ms, num, plural, TOLD, untold, usd } from "./format.js";
import { all } from "./keys.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";
import { openRequest } from "./request.js";

const PAGE = 50;
const MOST = 1000;
const NAMES = 200;

const panel = $("queries");
const body = $("query-rows");
const rows = new Map(); // id -> element
const names = { client: new Set(), model: new Set() };
let list = []; // newest first
let room = PAGE;
let missed = 0;
let loaded = false;
let asked = 0;

const FILTERS = ["f-client", "f-model", "f-key", "f-status", "f-until"];

function filter() {
  const until = $("f-until").value;

  return {
    // a name, an address, or both as a row shows them: "anna (10.20.0.31)"
    client: $("f-client").value.trim().replace(/ \([0-9a-f.:]+\)$/, ""),
    model: $("f-model").value.trim(),
    key: $("f-key").value,
    status: $("f-status").value,
    until: until && new Date(until).toISOString().replace(/\.\d+/, ""),
  };
}

const filtered = () => Object.values(filter()).some(Boolean);

const broken = (q) => ["upstream_gone", "stream_error", "proxy_stopped", "worker_gone"].includes(q.end);

function status(q, wanted) {
  if (wanted === "error") return broken(q) || (q.status >= 400 && q.end !== "client_gone");
  if (wanted === "broken") return broken(q);
  if (wanted === "client_gone") return q.end === "client_gone";
  if (wanted === "retried") return q.attempts.length > 1;
  if (/^\dxx$/.test(wanted)) return Math.floor(q.status / 100) === Number(wanted[0]);
  return q.status === Number(wanted);
}

// When it ended: the order of the list.
const ended = (q) => Date.parse(q.timestamp) + (q.total_ms ?? 0);

function fits(q) {
  const f = filter();
  return (!f.client || q.client_ip === f.client || q.client_name === f.client)
    && (!f.model || q.model === f.model)
    && (!f.key || q.key_fingerprint === f.key)
    && (!f.status || status(q, f.status))
    && (!f.until || ended(q) <= Date.parse(f.until));
}

/* ---- a row ---- */

function outcome(q) {
  if (q.end === "client_gone") return ["warn", "client hung up"];
  if (q.end === "upstream_gone") return ["bad", "cut off"];
  if (q.end === "stream_error") return ["bad", "error in the stream"];
  if (q.end === "proxy_stopped") return ["bad", "nginx was stopped"];
  if (q.end === "worker_gone") return ["bad", "worker killed"];
  if (q.status >= 500 || q.status === 0) return ["bad", ""];
  if (q.status >= 400) return ["warn", ""];
  return ["ok", ""];
}

// "429 on team-a, then team-b"
export function attempts(q) {
  const tried = q.attempts.slice(0, -1).map((a) =>
    [h("span", { class: "try", title: `${a.key}: ${a.status ?? a.cause} after ${ms(a.ms)}` },
      `${a.status ?? a.cause} on ${a.key}`), ", then "]);
  if (untold(q) > 0) tried.splice(TOLD, 0, [`${num(untold(q))} more, then `]);
  return [...tried.flat(), h("span", { class: "key-name" }, q.key ?? "–")];
}

const sure = { exact: "", partial: "broke off before the count", estimated: "estimated", none: "" };

// "≈ 12" where nobody has said it
const about = (n, certainty) => (sure[certainty] ? `≈ ${num(n)}` : num(n));

function completion(q) {
  return h("td", { class: "q-completion n", title: sure[q.completion_certainty] || null },
    about(q.completion_tokens, q.completion_certainty));
}

function prompt(q) {
  const cached = q.cached_tokens ? `${num(q.cached_tokens)} of them cached` : null;
  const title = [sure[q.prompt_certainty], cached].filter(Boolean).join(", ");
  return h("td", { class: "q-prompt n", title: title || null },
    q.cached_tokens ? h("span", { class: "cached" }, `${num(q.cached_tokens)} cached of `) : null,
    about(q.prompt_tokens, q.prompt_certainty));
}

const priced = (q) => q.cost_usd !== null && q.cost_usd !== undefined;

function cost(q) {
  const due = q.prompt_tokens + q.completion_tokens > 0;
  return h("td", { class: "q-cost n", title: priced(q) ? exactly(q.cost_usd) : due ? "the model has no price" : null },
    priced(q) && due ? usd(q.cost_usd) : due ? "unpriced" : "–");
}

// One row is in the order of Tab; the arrows go on from there.
function reach(button) {
  for (const other of body.querySelectorAll('.link[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
}

function arrows(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const next = step && event.target.closest("tr")?.[step]?.querySelector(".link");

  if (!next) return;
  event.preventDefault();
  next.focus();
}

function row(q) {
  const [tone, words] = outcome(q);
  const client = q.client_name ? `${q.client_name} (${q.client_ip})` : q.client_ip;
  const key = attempts(q);
  const waited = q.queue_ms >= 1000 && `waited ${ms(q.queue_ms)}`;
  const why = [words, q.reason, waited].filter(Boolean).join(", ");

  return h("tr", { class: tone, "data-id": q.id, onclick: () => openRequest(q) },
    h("td", { class: "q-time", title: `began ${full(q.timestamp)}` }, h("button", {
      type: "button", class: "link", tabindex: "-1",
      "aria-label": `Request ${q.id}, ended ${full(ended(q))}`,
      onfocus() { reach(this); },
    }, clock(ended(q)))),
    h("td", { class: "q-client", title: client }, client),
    h("td", { class: "q-endpoint", title: q.endpoint }, q.endpoint),
    h("td", { class: "q-model", title: q.model }, q.model ?? "–"),
    h("td", { class: "q-key", title: key.map((part) => part.textContent ?? part).join("") }, key),
    h("td", { class: "q-status", title: why || null },
      h("span", { class: `code ${tone}` }, String(q.status)),
      why && h("span", { class: "end" }, ` ${why}`)),
    prompt(q),
    completion(q),
    cost(q),
    h("td", { class: "q-first n" }, ms(q.first_token_ms)),
    h("td", { class: "q-total n" }, ms(q.total_ms)));
}

/* ---- all of them ---- */

function render() {
  const wanted = new Set(list.map((q) => q.id));

  for (const [id, node] of rows) {
    if (wanted.has(id)) continue;
    node.remove();
    rows.delete(id);
  }
  let at = body.firstElementChild;
  for (const q of list) {
    let node = rows.get(q.id);
    if (!node) {
      node = row(q);
      rows.set(q.id, node);
      body.insertBefore(node, at);
    } else {
      at = node.nextElementSibling;
    }
  }
  show(body.parentNode, list.length > 0);
  const newest = body.querySelector(".link");
  if (newest && !body.contains(document.activeElement)) reach(newest);
  if (!list.length) {
    state(panel, "empty", filtered() ? "No request of the last weeks fits these filters."
      : "No requests yet. The first one appears here by itself.");
  } else {
    state(panel);
  }
  show($("first-steps"), !list.length && !filtered());
  text($("query-note"), list.length ? `${plural(list.length, "request")} shown`
    + (missed ? `; ${num(missed)} went by too fast to show` : "")
    + (list.length >= MOST ? "; for older ones give a time in Until" : "") : "");
  show($("f-clear"), filtered());
}

function note(q) {
  for (const [set, value, id] of [
    [names.client, q.client_name, "l-client"],
    [names.client, q.client_ip, "l-client"],
    [names.model, q.model, "l-model"],
  ]) {
    if (!value || set.has(value) || set.size >= NAMES) continue;
    set.add(value);
    $(id).append(h("option", { value }));
  }
}

async function load(older) {
  const turn = ++asked;
  const ask = new URLSearchParams({ limit: String(PAGE) });

  for (const [name, value] of Object.entries(filter())) if (value) ask.set(name, value);
  if (older && list.length) ask.set("before", String(list.at(-1).id));
  try {
    const got = await get(`/queries?${ask}`);
    if (turn !== asked) return;
    got.forEach(note);
    if (older) {
      room = Math.min(MOST, room + got.length);
      list = [...list, ...got];
    } else {
      room = PAGE;
      missed = 0;
      list = got;
    }
    show($("query-more"), got.length === PAGE && list.length < MOST);
    loaded = true;
    render();
  } catch (error) {
    if (turn !== asked) return;
    if (!loaded) {
      state(panel, "error", `The requests are not to be had: ${error.message}.`);
      return;
    }
    // what is here already can still be looked through
    if (!older) {
      list = list.filter(fits);
      render();
    }
    text($("query-note"), `Not up to date: ${error.message}.`);
  }
}

function take({ count, queries }) {
  const newest = list[0]?.id ?? 0;
  const fresh = queries.filter((q) => q.id > newest);

  fresh.forEach(note);
  missed += Math.max(0, count - queries.length);
  const good = fresh.filter(fits);
  if (good.length) list = [...good, ...list].slice(0, room);
  if (loaded) paint();
}

// At once; when they come thick and fast, not more often than one can read.
const paint = throttle(700, unlessPaused(render));

function keyNames() {
  const select = $("f-key");
  const have = new Set([...select.options].map((o) => o.value));
  for (const key of all().slice(0, NAMES))
    if (!have.has(key.fingerprint)) select.append(h("option", { value: key.fingerprint }, key.name));
}

export function start() {
  const again = throttle(250, () => load());

  for (const id of FILTERS) $(id).addEventListener("input", again);
  $("f-clear").addEventListener("click", () => {
    for (const id of FILTERS) $(id).value = "";
    load();
  });
  body.addEventListener("keydown", arrows);
  $("first-url").textContent = location.origin;
  $("first-curl").textContent = `curl ${location.origin}/api/chat -H "Authorization: Bearer $PROXY_AUTH_TOKEN" `
    + `-d '{"model":"gpt-oss:20b","messages":[{"role":"user","content":"hi"}]}'`;
  $("query-more").addEventListener("click", () => load(true));
  live.addEventListener("queries", ({ detail }) => take(detail));
  live.addEventListener("hello", ({ detail }) => {
    if (loaded && !live.paused && detail.last_id > (list[0]?.id ?? 0)) load();
  });
  live.addEventListener("refresh", () => load());
  addEventListener("keys", throttle(5000, keyNames));
  load();
}
