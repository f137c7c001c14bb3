// The head: which parts answer, live or paused, light or dark, the two banners
// below it, and the title of the page.

import { $, h, remember, show, text } from "./dom.js";
import { at, clock, full, hm, num } from "./format.js";
import { pool } from "./keys.js";
import { live } from "./live.js";
import { heard } from "./net.js";
import { others } from "./problems.js";

const TITLE = document.title;

const dots = {};
let health = null;

function dot(name, words) {
  const node = {
    item: h("li", {}),
    word: h("span", { class: "word" }, "…"),
    time: h("time", {}),
  };
  node.item.append(h("span", { class: "dot", "aria-hidden": "true" }),
    h("b", {}, words), " ", node.word, " ", node.time);
  dots[name] = node;
  return node.item;
}

function set(name, tone, words, time, more) {
  const node = dots[name];
  node.item.className = tone;
  text(node.word, words);
  text(node.time, time ? clock(time) : "");
  if (time) node.time.dateTime = new Date(time).toISOString();
  node.item.title = [more, time && full(time)].filter(Boolean).join(", ");
}

const clouds = {
  reachable: ["ok", "reachable"],
  unreachable: ["bad", "unreachable"],
  failing: ["warn", "failing"],
  unknown: ["off", "no traffic lately"],
};

// nginx was asked, and nobody has answered since.
const unreachable = () => heard.silence > heard.proxy;

function keys() {
  const { able, count, kind, words } = pool();

  if (unreachable()) set("keys", "off", "not known");
  else if (words) set("keys", kind, count ? `${num(able)} of ${num(count)} can serve` : "none", 0, words);
}

function parts() {
  const silent = unreachable();
  set("proxy", silent ? "bad" : "ok", silent ? "does not answer" : "answers",
    heard.proxy, "When nginx last answered");

  const ill = health?.status && health.status !== "ok";
  set("daemon", live.away ? "bad" : ill ? "warn" : health ? "ok" : "off",
    live.away ? "does not answer" : ill ? "has problems" : health ? "answers" : "…",
    heard.daemon, "When ollama-statsd last answered");

  if (health) {
    const cloud = health.cloud;
    const [tone, words] = clouds[cloud.status] ?? ["off", String(cloud.status)];
    const time = cloud.status === "unreachable" ? cloud.last_failure : cloud.last_answer;
    set("cloud", live.away ? "off" : tone, live.away ? "not known" : words,
      time && Date.parse(time), "What real requests have met");
  }
  keys();
  document.body.classList.toggle("stale", live.away);
  document.body.classList.toggle("cut", silent);
}

const states = {
  connecting: "Connecting", live: "Live", polling: "Every 5 s",
  offline: "Offline", refused: "Logged out",
};

function button() {
  const node = $("live");
  const more = [];

  if (live.paused) {
    more.push(`since ${hm(live.pausedAt)}`);
    if (live.missed) more.push(`${num(live.missed)} new`);
    if (live.away) more.push(states[live.state].toLowerCase());
  }
  node.className = `live ${live.away ? live.state : live.paused ? "paused" : live.state}`;
  node.setAttribute("aria-pressed", String(!live.paused));
  node.title = [live.paused ? "Press to go on" : "Press to pause the page",
    live.state === "polling" ? live.reason : ""].filter(Boolean).join("; ");
  text($("live-word"), live.paused ? "Paused" : states[live.state]);
  text($("live-more"), more.join(", "));
}

// Times and no seconds to go: this is read out when it changes.
function banner() {
  const node = $("trouble");
  const { back, count, stuck } = pool();
  const none = stuck && !unreachable();
  const words = [];

  if (none) {
    words.push(count ? "No key can serve: requests are refused." : "All keys are switched off: requests are refused.");
    if (back) words.push(`${back.name} is back at ${at(back.until)}.`);
  }
  if (live.state === "refused") {
    words.push(`${live.reason}.`);
  } else if (live.state === "offline") {
    // nor are requests "served nevertheless", as the answer may go on
    const reason = none ? live.reason.split(";")[0] : live.reason;
    words.push(heard.daemon ? `No numbers since ${clock(heard.daemon)}: ${reason}.`
      : `No numbers yet: ${reason}.`,
    "What is shown is of then. This page goes on by itself when they are back.");
  } else if (others(health).length) {
    words.push(`ollama-statsd: ${others(health).join("; ")}.`);
  }
  node.className = `banner ${none || live.away ? "bad" : "warn"}`;
  text(node, words.join(" "));
  show(node, words.length > 0);
  document.title = none ? `⚠ no key can serve – ${TITLE}` : TITLE;
}

function refresh() {
  parts();
  button();
  banner();
}

const dark = matchMedia("(prefers-color-scheme: dark)");

// From the system's to the other one, so that the first press is seen, and back.
function next(chosen) {
  const [same, other] = dark.matches ? ["dark", "light"] : ["light", "dark"];

  return { [other]: same, [same]: "system" }[chosen] ?? other;
}

function theme(change) {
  let chosen = document.documentElement.dataset.theme ?? "system";

  if (change) {
    chosen = next(chosen);
    remember("theme", chosen);
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    dispatchEvent(new Event("theme"));
  }
  text($("theme"), chosen === "system"
    ? `Theme: system, ${dark.matches ? "dark" : "light"}` : `Theme: ${chosen}`);
}

export function start() {
  $("dots").replaceChildren(dot("proxy", "Proxy"), dot("daemon", "Daemon"),
    dot("cloud", "Ollama Cloud"), dot("keys", "Keys"));
  $("live").addEventListener("click", () => live.pause(!live.paused));
  $("theme").addEventListener("click", () => theme(true));
  dark.addEventListener("change", () => {
    dispatchEvent(new Event("theme"));
    theme(false);
  });
  theme(false);

  live.addEventListener("state", refresh);
  live.addEventListener("hello", ({ detail }) => {
    text($("version"), detail.version);
    show($("demo"), detail.demo);
    text($("demo"), "DEMO: the cloud is a simulated one on this machine, the keys are samples.");
  });
  live.addEventListener("health", ({ detail }) => {
    health = detail;
    text($("version"), detail.version);
    refresh();
  });
  addEventListener("keys", () => {
    keys();
    banner();
  });
  setInterval(parts, 1000);
  refresh();
}
