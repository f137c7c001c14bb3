// One request: how it ended, how long each part took, which keys were tried,
// what was sent; and the way to its neighbours and to others like it.

import { $, h, text } from "./dom.js";
import { bodyView, unmark } from "./body.js";
import { bytes, decimal, exactly, ms, num, TOLD, untold } from "./format.js";

const RATE_MS = 100; // what streams for less than this says nothing of a speed
const dialog = $("request");
const failed = (q) => q.status >= 400 || q.status === 0;

/* ---- times ---- */

// What the proxy did by itself waited for nobody; an error has no token, and
// an answer in one piece has no first one.
function firstWords(q) {
  if (q.end === "local" && !q.attempts.length) return "in the proxy";
  return failed(q) || !q.streamed ? "waited for the answer" : "waited for the first token";
}

// One after another, those that took no time left out: [name, words, ms]
function parts(q) {
  const total = q.total_ms ?? 0;
  const tries = q.attempts.slice(0, -1).reduce((n, a) => n + a.ms, 0);
  const answer = failed(q) ? total : Math.min(q.first_token_ms ?? total, total);
  const queue = Math.min(q.queue_ms ?? 0, answer);
  const lost = Math.min(tries, answer - queue);
  const connect = Math.min(q.connect_ms ?? 0, answer - queue - lost);

  return [
    ["queue", "waited for a slot", queue],
    ["lost", "lost on earlier attempts", lost],
    ["connect", "connected", connect],
    ["first", firstWords(q), answer - queue - lost - connect],
    ["stream", q.streamed ? "streamed" : "received", total - answer],
  ].filter(([, , n]) => n > 0);
}

function times(q) {
  const all = parts(q);
  if (!all.length) return null;
  const bar = h("div", { class: "times", role: "img", "aria-label":
    all.map(([, words, n]) => `${words} ${ms(n)}`).join(", ") });
  const legend = h("ul", { class: "times-legend" });

  for (const [name, words, n] of all) {
    const piece = h("i", { class: name, title: `${words}: ${ms(n)}` });
    piece.style.flexGrow = String(n);
    bar.append(piece);
    legend.append(h("li", { class: name }, h("i", { "aria-hidden": "true" }), `${words} `, h("b", {}, ms(n))));
  }
  return [bar, legend];
}

function speed(q) {
  const took = parts(q).find(([name]) => name === "stream")?.[2] ?? 0;
  if (!q.streamed || !q.completion_tokens || took < RATE_MS) return null;
  return `${q.completion_certainty === "exact" ? "" : "≈ "}${decimal(q.completion_tokens / took * 1000)} tokens/s`;
}

/* ---- facts ---- */

const stamp = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric",
  minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short" });
const item = (words, ...value) => h("div", {}, h("dt", {}, words), h("dd", {}, value.flat()));
const wide = (words, value) => h("div", { class: "wide" }, h("dt", {}, words), h("dd", {}, value));
const sure = { exact: "exact, as the cloud said", partial: "partial: it broke off before the count",
  estimated: "estimated: nobody said", none: "none are due" };
const ends = { client_gone: "the client hung up", upstream_gone: "the cloud hung up",
  stream_error: "an error inside the stream", proxy_stopped: "nginx was stopped",
  worker_gone: "its nginx worker was killed" };
const broken = ["upstream_gone", "stream_error", "proxy_stopped", "worker_gone"];

function counted(q) {
  const halves = [["prompt", q.prompt_certainty], ["completion", q.completion_certainty]]
    .map(([half, c]) => [half, sure[c] ?? c]);
  return halves[0][1] === halves[1][1] ? halves[0][1]
    : halves.map(([half, words]) => `${half} ${words}`).join("; ");
}

function cost(q) {
  if (q.cost_usd !== null && q.cost_usd !== undefined) return exactly(q.cost_usd);
  return q.prompt_tokens + q.completion_tokens ? "unpriced: the model has no price" : "none";
}

const turns = { new: "new", kept: "kept on the account of its turn before",
  moved: "moved to another account" };

// "200, answered", "429, refused by the proxy itself"
function outcome(q) {
  const verb = q.status >= 500 ? "failed" : q.status >= 400 ? "refused" : "answered";
  const words = q.end === "done" ? verb
    : q.end === "local" ? `${q.status >= 400 ? "refused" : "answered"} by the proxy itself` : ends[q.end] ?? q.end;
  return `${q.status || "no status"}, ${words}`;
}

const trouble = (q) => failed(q) || broken.includes(q.end);

function why(q) {
  if (!q.reason) return null;
  return h("p", { class: trouble(q) ? "why bad" : "why" }, h("b", {}, "Reason"), ` ${q.reason}`);
}

/* ---- others like it ---- */

let current = null;
let opened = null;

// Closes, and lets Recent queries show those with the same value.
function narrow(id, value, name) {
  const filter = $(id);

  if (filter.tagName === "SELECT" && ![...filter.options].some((o) => o.value === value))
    filter.append(h("option", { value }, name));
  filter.value = value;
  filter.dispatchEvent(new Event("input", { bubbles: true }));
  opened = current; // the focus goes to the list, not to a row
  dialog.close();
  $("query-rows").closest(".scroll").focus();
}

const same = (words, id, value, name = value) => value
  && [" ", h("button", { type: "button", class: "link", onclick: () => narrow(id, value, name) }, words)];

/* ---- its neighbours ---- */

const rows = $("query-rows");
const row = () => rows.querySelector(`[data-id="${current?.id}"]`);
const neighbour = { newer: () => row()?.previousElementSibling, older: () => row()?.nextElementSibling };

function go(which) {
  const node = neighbour[which]();
  if (!node) return;
  node.click();
  if (!dialog.contains(document.activeElement) || document.activeElement.disabled) close.focus();
}

const step = (which, words, key) => h("button", { type: "button", class: "quiet",
  "aria-keyshortcuts": key, onclick: () => go(which) }, words);

const newer = step("newer", "‹ Newer", "ArrowLeft");
const older = step("older", "Older ›", "ArrowRight");
const close = h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => dialog.close() }, "Close");

// The list goes on while one reads.
function steps() {
  newer.disabled = !neighbour.newer();
  older.disabled = !neighbour.older();
}
const watch = new MutationObserver(steps);

/* ---- the dialog ---- */

const title = h("h2", { id: "request-title", "aria-live": "polite" });
const asked = h("span", { class: "muted" });
const inside = h("div", { class: "inside" });
dialog.append(h("div", { class: "title" }, title, asked, h("div", { class: "steps" }, newer, older, close)),
  inside, h("div", { class: "toasts", role: "status", "aria-live": "polite" }));

function facts(q) {
  const rate = speed(q);

  return h("dl", { class: "facts" },
    item("Began", stamp.format(new Date(q.timestamp))),
    item("Client", q.client_name ? `${q.client_name} (${q.client_ip})` : q.client_ip,
      same("same client", "f-client", q.client_name ?? q.client_ip)),
    item("Model", q.model ?? "–", q.model_answered && q.model_answered !== q.model
      ? h("span", { class: "muted" }, ` answered by ${q.model_answered}`) : null,
    same("same model", "f-model", q.model)),
    item("Key", q.key ?? "–", same("same key", "f-key", q.key_fingerprint, q.key)),
    item("Status", outcome(q)),
    item("Tokens", `${num(q.prompt_tokens)} prompt (${num(q.cached_tokens)} cached), ${num(q.completion_tokens)} completion`),
    item("Counted", counted(q)),
    item("Cost", cost(q)),
    q.affinity ? item("Conversation", turns[q.affinity] ?? q.affinity) : null,
    item("Streamed", q.streamed ? "yes" : "no", rate && `, ${rate}`),
    item("Bytes", `${bytes(q.bytes_in)} in, ${bytes(q.bytes_out)} out`),
    q.user_agent ? wide("User-Agent", q.user_agent) : null,
    q.upstream_id ? wide("X-Request-Id of the cloud", h("code", {}, q.upstream_id)) : null);
}

// Of many the first and the last ones, and how many there were between them.
function attempts(q) {
  const missing = untold(q);
  const all = q.attempts.map((a, i) =>
    h("li", { class: i === q.attempts.length - 1 && q.status < 400 ? "ok" : "warn" },
      h("b", {}, a.key ?? "–"), ` ${a.status ?? a.cause} `, h("span", { class: "muted" }, `after ${ms(a.ms)}`)));
  if (missing <= 0) return [h("ol", { class: "attempts" }, all)];

  const last = h("ol", { class: "attempts", start: String(TOLD + missing + 1) }, all.slice(TOLD));
  last.style.counterReset = `n ${TOLD + missing}`;
  return [h("ol", { class: "attempts" }, all.slice(0, TOLD)),
    h("p", { class: "muted" }, `… ${num(missing)} more …`), last];
}

export function openRequest(q) {
  current = q;
  unmark();
  text(title, `Request ${num(q.id)}`);
  text(asked, `${q.method} ${q.endpoint}`);
  inside.replaceChildren(...[why(q), facts(q), h("h3", {}, `Time: ${ms(q.total_ms)}`), times(q),
    q.attempts.length ? [h("h3", {}, "Attempts"), ...attempts(q)] : null,
    bodyView(q)].flat().filter(Boolean));
  steps();
  if (!dialog.open) {
    opened = q;
    watch.observe(rows, { childList: true });
    dialog.showModal();
  }
  inside.scrollTop = 0; // an open one only: a closed one comes back as it was
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "ArrowLeft") go("newer");
  else if (event.key === "ArrowRight") go("older");
});
dialog.addEventListener("close", () => {
  if (dialog.open) return; // and another one already
  watch.disconnect();
  unmark();
  // the browser goes back to the row that was opened first
  if (current !== opened) row()?.querySelector("button")?.focus();
  current = null;
  inside.replaceChildren();
});
