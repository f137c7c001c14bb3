// The body of a request: read as messages or as JSON, searched, copied.

import { choice, h, remember, show, text, toast } from "./dom.js";
import { bytes, num } from "./format.js";
import { plain, read } from "./messages.js";
import { raw } from "./net.js";

const MARKS = 200;
const BLOCK = 16384;
const LEAST = 2; // letters to search for
const PAUSE_MS = 150;

let wanted = remember("body-view") === "json" ? "json" : "messages";

/* ---- search ---- */

// Lower case, as long as before: İ would become two.
const fold = (words) => words.replaceAll("\u0130", "I").toLowerCase();

// All text of an element as one, and where in it each piece begins. A line's
// end between two of them: nothing is found across.
function index(node) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const nodes = [];
  const starts = [];
  const words = [];
  let at = 0;

  while (walker.nextNode()) {
    const piece = walker.currentNode;
    nodes.push(piece);
    starts.push(at);
    words.push(piece.data);
    at += piece.length + 1;
  }
  return { nodes, starts, words: fold(words.join("\n")) };
}

function places(words, key) {
  const found = [];
  for (let at = words.indexOf(key); at >= 0; at = words.indexOf(key, at + key.length)) found.push(at);
  return found;
}

function range({ nodes, starts }, at, length) {
  let low = 0;
  let high = starts.length - 1;

  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle - 1;
  }
  const made = document.createRange();
  made.setStart(nodes[low], at - starts[low]);
  made.setEnd(nodes[low], at - starts[low] + length);
  return made;
}

// Marks are highlights, not elements: a megabyte would be laid out again for
// each letter typed. A browser that knows none goes to the places all the same.
function mark(name, ranges) {
  if (globalThis.Highlight && ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights?.delete(name);
}

export function unmark() {
  mark("found", []);
  mark("current", []);
}

// Into view, and no more of the page moves than must.
function reveal(view, found) {
  const inner = view.getBoundingClientRect();
  const place = found.getBoundingClientRect();

  if (place.top < inner.top || place.bottom > inner.bottom)
    view.scrollTop += place.top - inner.top - view.clientHeight / 3;
  view.scrollIntoView({ block: "nearest" });
}

function finder(view, input, said) {
  let all = null;
  let key = "";
  let found = [];
  let current = 0;
  let shown = null;
  let timer = 0;

  function go(to) {
    current = (to + found.length) % found.length;
    // those near it, when there are too many
    const from = Math.max(0, Math.min(current - MARKS / 2, found.length - MARKS));
    const near = found.slice(from, from + MARKS).map((at) => range(all, at, key.length));
    const here = near[current - from];
    mark("found", near);
    mark("current", [here]);
    reveal(view, here);
    // blocks that come into view take their true height, which moves it
    shown = here;
    requestAnimationFrame(() => requestAnimationFrame(() => { if (shown === here) reveal(view, here); }));
    text(said, `${num(current + 1)} of ${num(found.length)}`
      + (near.length < found.length ? `, the nearest ${num(near.length)} marked` : ""));
  }
  function look() {
    clearTimeout(timer);
    timer = 0;
    if (!view.isConnected) return;
    unmark();
    shown = null;
    key = fold(input.value);
    found = [];
    if (key.length < LEAST) {
      text(said, key && "two letters or more");
      return;
    }
    all ??= index(view);
    found = places(all.words, key);
    if (found.length) go(0);
    else text(said, "0 found");
  }
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (timer) look();
    else if (found.length) go(current + (event.shiftKey ? -1 : 1));
  });
  // what is shown is new
  return () => {
    all = null;
    look();
  };
}

/* ---- what is shown ---- */

function parse(words) {
  try {
    return JSON.parse(words);
  } catch {
    return undefined;
  }
}

// Whatever a client sends: what cannot be made is not shown so.
function attempt(fn, otherwise) {
  try {
    return fn();
  } catch {
    return otherwise;
  }
}

// A long text in blocks, parted where a line ends: only those in view are laid
// out. One line of a megabyte stays as it is: to lay it out each time it comes
// into view is worse.
function blocks(words, name) {
  const made = [];
  for (let at = 0; at < words.length;) {
    const end = words.indexOf("\n", at + BLOCK);
    const to = end < 0 ? words.length : end;
    made.push(h("div", { class: to - at > 2 * BLOCK ? name : `${name} block` }, words.slice(at, to)));
    at = to + 1;
  }
  if (made.length === 1) made[0].className = name;
  return made;
}

const asMessages = (said) => h("ol", { class: "said" }, said.map(({ role, parts }) =>
  h("li", {}, h("h4", {}, role || "message"), parts.map(({ label, words }) =>
    [label ? h("h5", {}, label) : null, ...blocks(words, label ? "text aside" : "text")]).flat())));

async function copy(words, from) {
  let done = true;
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // without https there is no clipboard; a selection does it
    const area = h("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = words;
    from.after(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    from.focus();
  }
  if (done) toast("The body is copied");
  else toast("The browser does not let the page copy", "bad");
}

export function bodyView(q) {
  const view = h("div", { class: "view", tabindex: "0", role: "region", "aria-label": "Body of the request" },
    "Loading the body…");
  const found = h("span", { class: "muted", role: "status" });
  const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false", disabled: true });
  const copied = h("button", { type: "button", class: "quiet", disabled: true }, "Copy");
  const size = h("span", { class: "muted" });
  const views = h("div", { class: "choice", role: "group", "aria-label": "Body as", hidden: true });
  const box = h("div", { class: "body" }, h("div", { class: "find" }, h("h3", {}, "Request body"), size, views,
    h("label", {}, "Search ", search), found, copied), view);
  const again = finder(view, search, found);
  let words = "";
  let said = null;

  function render() {
    const messages = said && wanted === "messages";
    view.replaceChildren(...messages ? [asMessages(said)] : blocks(words, "text"));
    view.scrollTop = 0;
    again();
  }
  function take(got) {
    const value = q.body.truncated ? undefined : parse(got);
    words = value === undefined ? got : attempt(() => JSON.stringify(value, null, 2), got);
    said = attempt(() => read(value), null);
    search.disabled = false;
    copied.disabled = false;
    show(views, Boolean(said));
    choice(views, [["messages", "Messages"], ["json", "JSON"]], wanted, (chosen) => {
      wanted = chosen;
      remember("body-view", chosen);
      render();
    });
    render();
  }
  copied.addEventListener("click", () => copy(said && wanted === "messages" ? plain(said) : words, copied));

  if (!q.body) {
    text(view, "No body is kept of this request.");
    return box;
  }
  text(size, q.body.truncated ? `the beginning of ${bytes(q.body.size)}: the rest was not kept` : bytes(q.body.size));
  raw(`/queries/${q.id}/body`).then((answer) => answer.text()).then((got) => {
    if (view.isConnected) take(got);
  }, (error) => text(view, `The body is not to be had: ${error.message}.`));
  return box;
}
