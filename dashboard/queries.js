// Recent requests: those of the ledger that the filters let through, then each
// new one as it comes.

import { $, h, show, state, text, throttle } from "./dom.js";
import { clock, full, ms, num, plural } from "./format.js";
import { all } from "./keys.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";
import { openRequest } from "./request.js";

const PAGE = 50;
const MOST = 500;
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

const filter = () => ({
  client: $("f-client").value.trim(),
  model: $("f-model").value.trim(),
  key: $("f-key").value,
  status: $("f-status").value,
});

const filtered = () => Object.values(filter()).some(Boolean);

function status(code, wanted) {
  if (wanted === "error") return code >= 400;
  if (/^\dxx$/.test(wanted)) return Math.floor(code / 100) === Number(wanted[0]);
  return code === Number(wanted);
}

function fits(q) {
  const f = filter();
  return (!f.client || q.client_ip === f.client || q.client_name === f.client)
    && (!f.model || q.model === f.model)
    && (!f.key || q.key_fingerprint === f.key)
    && (!f.status || status(q.status, f.status));
}

/* ---- a row ---- */

export function outcome(q) {
  if (q.end === "client_gone") return ["warn", "client hung up"];
  if (q.end === "upstream_gone") return ["bad", "cut off"];
  if (q.end === "stream_error") return ["bad", "error in the stream"];
  if (q.status >= 500 || q.status === 0) return ["bad", ""];
  if (q.status >= 400) return ["warn", ""];
  return ["ok", ""];
}

// "429 on team-a, then team-b"
export function attempts(q) {
  const tried = q.attempts.slice(0, -1).map((a) =>
    [h("span", { class: "try", title: `${a.key}: ${a.status ?? a.cause} after ${ms(a.ms)}` },
      `${a.status ?? a.cause} on ${a.key}`), ", then "]);
  return [...tried.flat(), h("span", { class: "key-name" }, q.key ?? "–")];
}

const sure = { exact: "", partial: "broke off before the count", estimated: "estimated", none: "" };

function completion(q) {
  const about = q.certainty === "partial" || q.certainty === "estimated";
  return h("td", { class: "q-completion n", title: sure[q.certainty] || null },
    about ? `≈ ${num(q.completion_tokens)}` : num(q.completion_tokens));
}

function prompt(q) {
  return h("td", {
    class: "q-prompt n", title: q.cached_tokens ? `${num(q.cached_tokens)} of them cached` : null,
  }, q.cached_tokens ? h("span", { class: "cached" }, `${num(q.cached_tokens)} cached of `) : null,
  num(q.prompt_tokens));
}

function row(q) {
  const [tone, words] = outcome(q);
  const client = q.client_name ? `${q.client_name} (${q.client_ip})` : q.client_ip;

  return h("tr", { class: tone, "data-id": q.id, onclick: () => openRequest(q) },
    h("td", { class: "q-time" }, h("button", {
      type: "button", class: "link", "aria-label": `Request ${q.id}, ${full(q.timestamp)}`,
    }, clock(q.timestamp))),
    h("td", { class: "q-client", title: client }, client),
    h("td", { class: "q-endpoint" }, q.endpoint),
    h("td", { class: "q-model", title: q.model }, q.model ?? "–"),
    h("td", { class: "q-key" }, attempts(q)),
    h("td", { class: "q-status" }, h("span", { class: `code ${tone}` }, String(q.status)),
      words && h("span", { class: "end" }, ` ${words}`)),
    prompt(q),
    completion(q),
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
  if (!list.length) {
    state(panel, "empty", filtered() ? "No request of the last weeks fits these filters."
      : "No requests yet. The first one appears here by itself.");
  } else {
    state(panel);
  }
  text($("query-note"), list.length ? `${plural(list.length, "request")} shown`
    + (missed ? `; ${num(missed)} went by too fast to show` : "") : "");
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
    if (!loaded) state(panel, "error", `The requests are not to be had: ${error.message}.`);
    else text($("query-note"), `Not up to date: ${error.message}.`);
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

  for (const id of ["f-client", "f-model", "f-key", "f-status"])
    $(id).addEventListener("input", again);
  $("f-clear").addEventListener("click", () => {
    for (const id of ["f-client", "f-model", "f-key", "f-status"]) $(id).value = "";
    load();
  });
  $("query-more").addEventListener("click", () => load(true));
  live.addEventListener("queries", ({ detail }) => take(detail));
  live.addEventListener("hello", ({ detail }) => {
    if (loaded && detail.last_id > (list[0]?.id ?? 0)) load();
  });
  live.addEventListener("refresh", () => load());
  addEventListener("keys", throttle(5000, keyNames));
  load();
}
