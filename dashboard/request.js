// One request: how long each part took, which keys were tried, what was sent.

import { $, h, text, toast } from "./dom.js";
import { bytes, full, ms, num } from "./format.js";
import { raw } from "./net.js";

const MARKS = 500;
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

/* ---- body ---- */

function pretty(words) {
  try {
    return JSON.stringify(JSON.parse(words), null, 2);
  } catch {
    return words;
  }
}

// The text in pieces, those that were looked for in <mark>.
function marked(words, wanted) {
  if (!wanted) return [[words], 0];
  const pieces = [];
  const lower = words.toLowerCase();
  const key = wanted.toLowerCase();
  let at = 0;
  let n = 0;

  for (let i; (i = lower.indexOf(key, at)) >= 0;) {
    if (n++ < MARKS) {
      pieces.push(words.slice(at, i), h("mark", {}, words.slice(i, i + key.length)));
      at = i + key.length;
    } else {
      let more = i + key.length;
      while ((more = lower.indexOf(key, more)) >= 0) { n++; more += key.length; }
      break;
    }
  }
  pieces.push(words.slice(at));
  return [pieces, n];
}

async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // without https there is no clipboard; a selection does it
    const area = h("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = words;
    dialog.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast("The body is copied");
}

function bodyView(q) {
  const box = h("div", { class: "body" });
  const view = h("pre", { tabindex: "0", role: "region", "aria-label": "Body of the request" }, "Loading the body…");
  const found = h("span", { class: "muted", role: "status" });
  const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const copied = h("button", { type: "button", class: "quiet", disabled: true }, "Copy");
  const size = h("span", { class: "muted" });
  let words = "";
  let current = -1;

  function look() {
    const [pieces, n] = marked(words, search.value);
    view.replaceChildren(...pieces);
    current = -1;
    text(found, search.value ? `${num(n)} found` : "");
    if (n) next();
  }
  function next() {
    const marks = view.querySelectorAll("mark");
    if (!marks.length) return;
    marks[current]?.classList.remove("current");
    current = (current + 1) % marks.length;
    marks[current].classList.add("current");
    marks[current].scrollIntoView({ block: "nearest" });
    text(found, `${num(current + 1)} of ${num(marks.length)}`);
  }
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    next();
  });
  copied.addEventListener("click", () => copy(words));
  box.append(h("div", { class: "find" }, h("h3", {}, "Request body"), size,
    h("label", {}, "Search ", search), found, copied), view);

  if (!q.body) {
    text(view, "No body is kept of this request.");
    search.disabled = true;
    return box;
  }
  text(size, q.body.truncated ? `the beginning of ${bytes(q.body.size)}: the rest was not kept` : bytes(q.body.size));
  raw(`/queries/${q.id}/body`).then((answer) => answer.text()).then((got) => {
    words = q.body.truncated ? got : pretty(got);
    copied.disabled = false;
    look();
  }).catch((error) => text(view, `The body is not to be had: ${error.message}.`));
  return box;
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
dialog.addEventListener("close", () => dialog.replaceChildren());
