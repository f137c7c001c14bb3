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
let lines = []; // { key, line, node }, oldest first
let waiting = []; // while paused
let paused = false;
let loaded = false;
let cleared = ""; // time of the last line when it was

function node(line) {
  return h("div", { class: `line l-${LEVELS.includes(line.level) ? line.level : "info"}` },
    h("time", { datetime: line.timestamp, title: full(line.timestamp) }, clock(line.timestamp)),
    h("b", {}, line.level), h("i", {}, line.source), h("span", {}, line.message));
}

function fits(line) {
  const wanted = $("log-search").value.toLowerCase();
  return LEVELS.indexOf(line.level) >= LEVELS.indexOf($("log-level").value)
    && (!wanted || `${line.source} ${line.message}`.toLowerCase().includes(wanted));
}

function note() {
  const shown = lines.filter((l) => !l.node.hidden).length;
  text($("log-note"), `${plural(shown, "line")} shown of ${num(lines.length)}`
    + (paused && waiting.length ? `; ${num(waiting.length)} new while paused` : ""));
  if (shown) state(panel);
  else state(panel, "empty", lines.length ? "No line fits these filters." : "No lines yet.");
  show(box, shown > 0);
}

function add(news) {
  const bottom = box.scrollHeight - box.scrollTop - box.clientHeight < 40;

  for (const line of news) {
    // a daemon that starts anew numbers its lines anew
    const key = `${line.timestamp} ${line.id}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const one = { key, line, node: node(line) };
    one.node.hidden = !fits(line);
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

function filter() {
  for (const l of lines) l.node.hidden = !fits(l.line);
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
  live.addEventListener("hello", () => { if (loaded) load(); });
  load();
}
