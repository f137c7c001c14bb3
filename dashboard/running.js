// The requests that run at this moment, the longest first, as the proxy tells
// them a few times a second. Seconds go on by themselves in between.

import { $, h, show, text } from "./dom.js";
import { decimal, num, plural, span } from "./format.js";
import { live } from "./live.js";
import { get } from "./net.js";
import { attempts } from "./queries.js";

const TICK_MS = 500;

const box = $("running");
const rows = new Map(); // id -> what is shown of it

const phases = {
  reading: ["sending", "The body of the request is on its way from the client"],
  waiting: ["waiting for a slot", "All slots of the keys that may serve it are taken"],
  sent: ["waiting for the cloud", "The request is on its way to the cloud, or there; no answer yet"],
  answering: ["streaming", "The answer is on its way"],
};

const client = (q) => (q.client_name ? `${q.client_name} (${q.client_ip})` : q.client_ip);

const age = (row) => row.request.total_ms + Date.now() - row.heard;

function since(n) {
  return n < 10000 ? `${decimal(Math.floor(n / 100) / 10)} s` : span(Math.floor(n / 1000));
}

// "429 on team-a, then team-b": the last one is at work, if there is one.
function serving(q) {
  const last = q.attempts.at(-1);

  if (q.key) return attempts({ ...q, attempts: [...q.attempts, {}] });
  return last ? [h("span", { class: "try" }, `${last.status ?? last.cause} on ${last.key}`)] : [];
}

function make(q) {
  const parts = {
    model: h("b", { class: "model", title: q.endpoint }),
    tokens: h("span", { class: "tokens", title: "Estimated from what has been streamed" }),
    age: h("span", { class: "age" }),
    phase: h("span", { class: "phase" }),
    key: h("span", { class: "served" }),
  };
  const node = h("li", { "data-id": q.id },
    h("div", {}, parts.model, parts.tokens, parts.age),
    h("div", {}, parts.phase, h("span", { class: "client", title: q.user_agent }, client(q)), parts.key));

  return { node, parts, served: "" };
}

function fill(row, q) {
  const { node, parts } = row;
  const [words, title] = phases[q.phase] ?? [q.phase, ""];
  const served = `${q.key} ${q.attempts.length}`;

  row.request = q;
  row.heard = Date.now();
  node.dataset.phase = q.phase;
  text(parts.model, q.model ?? q.endpoint);
  text(parts.phase, q.phase === "answering" && !q.streamed ? "answering" : words);
  parts.phase.title = title;
  text(parts.tokens, q.completion_tokens ? `≈ ${plural(q.completion_tokens, "token")}` : "");
  if (row.served !== served) parts.key.replaceChildren(...serving(q));
  row.served = served;
}

function tick() {
  for (const row of rows.values()) text(row.parts.age, since(age(row)));
}

function render(list) {
  const wanted = new Set(list.requests.map((q) => q.id));
  const more = list.total - list.requests.length;

  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    row.node.remove();
    rows.delete(id);
  }
  let at = box.firstElementChild;
  for (const q of list.requests) {
    let row = rows.get(q.id);
    if (!row) {
      row = make(q);
      rows.set(q.id, row);
    }
    fill(row, q);
    if (row.node === at) at = at.nextElementSibling;
    else box.insertBefore(row.node, at);
  }
  show(box, list.requests.length > 0);
  show($("running-none"), !list.requests.length);
  text($("running-none"), "No request runs at this moment.");
  text($("running-more"), more > 0 ? `and ${num(more)} more` : "");
  tick();
}

// What runs while nobody tells, nobody knows.
function unknown() {
  render({ total: 0, waiting: 0, requests: [] });
  text($("running-none"), "Not known while nobody tells: requests may run.");
}

async function load() {
  try {
    render(await get("/stats/running?limit=50"));
  } catch {
    // the stream tells it again
  }
}

export function start() {
  live.addEventListener("running", ({ detail }) => render(detail));
  live.addEventListener("refresh", load);
  live.addEventListener("state", () => { if (live.away && !live.paused) unknown(); });
  setInterval(() => { if (!live.paused) tick(); }, TICK_MS);
}
