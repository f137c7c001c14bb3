// One request: how long each part took, which keys were tried, what was sent.

import { $, h } from "./dom.js";
import { bodyView, unmark } from "./body.js";
import { bytes, full, ms, num } from "./format.js";

const dialog = $("request");
const PARTS = [["queue", "waited for a slot"], ["connect", "connected"],
  ["first", "waited for the first token"], ["stream", "streamed"]];

/* ---- times ---- */

function parts(q) {
  const total = q.total_ms ?? 0;
  const queue = Math.min(q.queue_ms ?? 0, total);
  const connect = Math.min(q.connect_ms ?? 0, total - queue);
  const first = q.first_token_ms === null ? total - queue - connect
    : Math.max(0, Math.min(q.first_token_ms, total) - queue - connect);
  return { queue, connect, first, stream: Math.max(0, total - queue - connect - first) };
}

function times(q) {
  const all = parts(q);
  const bar = h("div", { class: "times", role: "img", "aria-label":
    PARTS.map(([name, words]) => `${words} ${ms(all[name])}`).join(", ") });
  const legend = h("ul", { class: "times-legend" });

  for (const [name, words] of PARTS) {
    const piece = h("i", { class: name, title: `${words}: ${ms(all[name])}` });
    piece.style.flexGrow = String(all[name]);
    if (all[name]) bar.append(piece);
    legend.append(h("li", { class: name }, h("i", { "aria-hidden": "true" }), `${words} `, h("b", {}, ms(all[name]))));
  }
  return [bar, legend];
}

/* ---- the rest ---- */

const item = (words, ...value) => h("div", {}, h("dt", {}, words), h("dd", {}, value));
const sure = { exact: "exact, as the cloud said", partial: "partial: it broke off before the count",
  estimated: "estimated: nobody said", none: "none are due" };
const ends = { done: "answered", local: "answered by the proxy itself", client_gone: "the client hung up",
  upstream_gone: "the cloud hung up", stream_error: "an error inside the stream" };

export function openRequest(q) {
  const close = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");

  dialog.replaceChildren(
    h("div", { class: "title" }, h("h2", { id: "request-title" }, `Request ${num(q.id)}`),
      h("span", { class: "muted" }, `${q.method} ${q.endpoint}`), close),
    h("div", { class: "inside" },
      h("dl", { class: "facts" },
        item("Time", full(q.timestamp)),
        item("Client", q.client_name ? `${q.client_name} (${q.client_ip})` : q.client_ip),
        item("Model", q.model ?? "–", q.model_answered && q.model_answered !== q.model
          ? h("span", { class: "muted" }, ` answered by ${q.model_answered}`) : null),
        item("Status", `${q.status}, ${ends[q.end] ?? q.end}`),
        item("Tokens", `${num(q.prompt_tokens)} prompt (${num(q.cached_tokens)} cached), ${num(q.completion_tokens)} completion`),
        item("Counted", sure[q.certainty] ?? q.certainty),
        item("Streamed", q.streamed ? "yes" : "no"),
        item("Bytes", `${bytes(q.bytes_in)} in, ${bytes(q.bytes_out)} out`),
        q.reason ? item("Reason", q.reason) : null,
        q.user_agent ? item("User-Agent", q.user_agent) : null,
        q.upstream_id ? item("X-Request-Id", q.upstream_id) : null),
      h("h3", {}, `Time: ${ms(q.total_ms)}`), times(q),
      q.attempts.length ? [h("h3", {}, "Attempts"), h("ol", { class: "attempts" }, q.attempts.map((a, i) =>
        h("li", { class: i === q.attempts.length - 1 && q.status < 400 ? "ok" : "warn" },
          h("b", {}, a.key ?? "–"), ` ${a.status ?? a.cause} `, h("span", { class: "muted" }, `after ${ms(a.ms)}`))))] : null,
      bodyView(q)));
  dialog.showModal();
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => {
  unmark();
  dialog.replaceChildren();
});
