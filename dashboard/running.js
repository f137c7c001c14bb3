// The requests that run at this moment, the longest first, as the proxy tells
// them a few times a second. Seconds go on by themselves in between.

import { $, h, show, text } from "./dom.js";
import { num, plural, span } from "./format.js";
import { live } from "./live.js";
import { get } from "./net.js";
import { attempts } from "./queries.js";

const TICK_MS = 1000;

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

// "429 on team-a, then team-b": the last one is at work, if there is one.
function serving(q) {
  const last = q.attempts.at(-1);

  if (q.key) return attempts({ ...q, attempts: [...q.attempts, {}], attempts_total: q.attempts_total + 1 });
  return last ? [h("span", { class: "try" }, `${last.status ?? last.cause} on ${last.key}`)] : [];
}

function make() {
  const parts = {
    model: h("b", { class: "model" }),
    tokens: h("span", { class: "tokens", title: "Estimated from what has been streamed" }),
    age: h("span", { class: "age" }),
    phase: h("span", { class: "phase" }),
    client: h("span", { class: "client" }),
    key: h("span", { class: "served" }),
  };
  const node = h("li", {}, h("div", {}, parts.model, parts.tokens, parts.age),
    h("div", {}, parts.phase, parts.client, parts.key));

  return { node, parts, served: "" };
}

function title(node, words) {
  if (node.title !== words) node.title = words;
}

function fill(row, q) {
  const { node, parts } = row;
  const [words, more] = phases[q.phase] ?? [q.phase, ""];
  const served = `${q.key} ${q.attempts.map((a) => `${a.key} ${a.status}`)}`;

  row.request = q;
  row.heard = Date.now();
  node.dataset.id = q.id;
  node.dataset.phase = q.phase;
  text(parts.model, q.model ?? q.endpoint);
  title(parts.model, q.endpoint);
  text(parts.phase, q.phase === "answering" && !q.streamed ? "answering" : words);
  title(parts.phase, more);
  text(parts.client, client(q));
  title(parts.client, q.user_agent ?? "");
  text(parts.tokens, q.completion_tokens ? `≈ ${plural(q.completion_tokens, "token")}` : "");
  if (row.served !== served) parts.key.replaceChildren(...serving(q));
  row.served = served;
}

function tick() {
  for (const row of rows.values()) text(row.parts.age, span(Math.floor(age(row) / 1000)));
}

function render(list) {
  const wanted = new Set(list.requests.map((q) => q.id));
  const more = list.total - list.requests.length;

  // what has ended makes room for what has begun: most lines stay where they are
  const free = [];
  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    free.push(row);
    rows.delete(id);
  }
  const fresh = list.requests.filter((q) => !rows.has(q.id)).length;
  for (const row of free.splice(fresh)) row.node.remove();
  let at = box.firstElementChild;
  for (const q of list.requests) {
    const row = rows.get(q.id) ?? free.shift() ?? make();
    rows.set(q.id, row);
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
