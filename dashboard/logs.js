// Lines of nginx and of the daemon, as they come.

import { $, h, show, state, text } from "./dom.js";
import { clock, full, num, plural } from "./format.js";
import { live } from "./live.js";
import { get } from "./net.js";

const MOST = 1000;
const LEVELS = ["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"];

const panel = $("logs");
const box = $("log-lines");
const seen = new Set();
let lines = []; // { key, line, words, node .. }, oldest first
let waiting = []; // while paused
let paused = false;
let loaded = false;
let cleared = ""; // time of the last line when it was

// "123#123: *45 text, client: .., server: .." of nginx: the text, and all that
// somebody reads only when it matters.
function parts(message) {
  const words = message.replace(/^\d+#\d+: (\*\d+ )?/, "");
  const end = words.indexOf(", client: ");

  return end < 0 ? [words, ""] : [words.slice(0, end), message];
}

function unfold(one, on) {
  show(one.whole, on);
  one.button.setAttribute("aria-expanded", String(on));
  if (on && one.button === document.activeElement) one.node.scrollIntoView({ block: "nearest" });
}

function make(line) {
  const [words, whole] = parts(line.message);
  const one = { line, words };
  const said = h("span", { title: whole || words === line.message ? null : line.message }, words);

  one.node = h("div", { class: `line l-${LEVELS.includes(line.level) ? line.level : "info"}` },
    h("time", { datetime: line.timestamp, title: full(line.timestamp) }, clock(line.timestamp)),
    h("b", {}, line.level), h("i", {}, line.source), said);
  if (whole) {
    one.whole = h("small", { hidden: true }, whole);
    one.button = h("button", {
      type: "button", "aria-expanded": "false", "aria-label": "The whole line", title: "The whole line",
      onclick: () => unfold(one, one.whole.hidden),
    }, "…");
    said.append(" ", one.button, one.whole);
  }
  return one;
}

// A line that is copied is copied whole, however little of it is shown.
function copy(event) {
  const selection = getSelection();
  const taken = lines.filter((l) => !l.node.hidden && selection.containsNode(l.node, true));
  const said = selection.toString();

  if (taken.length === 1 && !said.includes(taken[0].words)) return; // a word of it
  if (!taken.length) return;
  event.clipboardData.setData("text/plain", taken.map(({ line }) =>
    `${full(line.timestamp)} ${line.level} ${line.source} ${line.message}`).join("\n"));
  event.preventDefault();
}

const search = () => $("log-search").value.toLowerCase();

function fits(line) {
  const wanted = search();
  return LEVELS.indexOf(line.level) >= LEVELS.indexOf($("log-level").value)
    && (!wanted || `${line.source} ${line.message}`.toLowerCase().includes(wanted));
}

function note() {
  const shown = lines.filter((l) => !l.node.hidden).length;
  text($("log-note"), `${plural(shown, "line")} shown of ${num(lines.length)}`
    + (paused && waiting.length ? `; ${num(waiting.length)} new while paused` : ""));
  if (shown) state(panel);
  else if (lines.length) state(panel, "empty", "No line fits these filters.");
  else state(panel, "empty", cleared ? "Cleared; new lines appear here." : "No lines yet.");
  show(box, shown > 0);
}

function add(news) {
  const bottom = box.scrollHeight - box.scrollTop - box.clientHeight < 40;

  for (const line of news) {
    // a daemon that starts anew numbers its lines anew
    const key = `${line.timestamp} ${line.id}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const one = { ...make(line), key };
    sift(one);
    lines.push(one);
    box.append(one.node);
  }
  while (lines.length > MOST) {
    const old = lines.shift();
    seen.delete(old.key);
    old.node.remove();
  }
  note();
  if (bottom) box.scrollTop = box.scrollHeight;
}

// Shown or not; what is found behind the fold is seen.
function sift(one) {
  const wanted = search();
  const found = (words) => words.toLowerCase().includes(wanted);

  one.node.hidden = !fits(one.line);
  if (wanted && one.whole && !found(one.words) && found(one.line.message)) unfold(one, true);
}

function filter() {
  lines.forEach(sift);
  note();
  box.scrollTop = box.scrollHeight;
}

function take(news) {
  if (!paused) {
    add(news);
    return;
  }
  waiting = [...waiting, ...news].slice(-MOST);
  note();
}

async function load() {
  try {
    const got = await get(`/logs?limit=${loaded ? 1000 : 300}`);
    loaded = true;
    take(got.filter((line) => line.timestamp > cleared));
  } catch (error) {
    if (!loaded) state(panel, "error", `The lines are not to be had: ${error.message}.`);
  }
}

export function start() {
  $("log-level").addEventListener("change", filter);
  $("log-search").addEventListener("input", filter);
  $("log-pause").addEventListener("click", () => {
    paused = !paused;
    $("log-pause").setAttribute("aria-pressed", String(paused));
    text($("log-pause"), paused ? "Go on" : "Pause");
    if (!paused) add(waiting.splice(0));
    note();
  });
  box.addEventListener("copy", copy);
  $("log-clear").addEventListener("click", () => {
    cleared = lines.at(-1)?.line.timestamp ?? cleared;
    lines = [];
    waiting = [];
    seen.clear();
    box.replaceChildren();
    note();
  });
  live.addEventListener("logs", ({ detail }) => take(detail));
  live.addEventListener("refresh", load);
  live.addEventListener("hello", () => { if (loaded && !live.paused) load(); });
  load();
}
