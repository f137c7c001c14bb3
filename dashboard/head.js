// The head: which parts answer, live or paused, light or dark, and the two
// banners below it.

import { $, h, remember, show, text } from "./dom.js";
import { clock, full } from "./format.js";
import { live } from "./live.js";
import { heard } from "./net.js";

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

function parts() {
  const gone = live.state === "offline" || live.state === "refused";
  const proxy = gone && Date.now() - heard.proxy > 10000;
  set("proxy", proxy ? "bad" : "ok", proxy ? "does not answer" : "answers",
    heard.proxy, "When nginx last answered");

  const ill = health?.status && health.status !== "ok";
  set("daemon", gone ? "bad" : ill ? "warn" : health ? "ok" : "off",
    gone ? "does not answer" : ill ? "has problems" : health ? "answers" : "…",
    heard.daemon, "When ollama-statsd last answered");

  if (health) {
    const cloud = health.cloud;
    const [tone, words] = clouds[cloud.status] ?? ["off", String(cloud.status)];
    const time = cloud.status === "unreachable" ? cloud.last_failure : cloud.last_answer;
    set("cloud", gone ? "off" : tone, gone ? "not known" : words,
      time && Date.parse(time), "What real requests have met");
  }
}

function button() {
  const states = {
    connecting: "Connecting", live: "Live", polling: "Every 5 s",
    offline: "Offline", refused: "Logged out",
  };
  const node = $("live");
  node.className = `live ${live.paused ? "paused" : live.state}`;
  node.setAttribute("aria-pressed", String(!live.paused));
  node.title = live.paused ? "Press to go on" : "Press to pause the page";
  text($("live-word"), live.paused ? "Paused" : states[live.state]);
}

function banner() {
  const node = $("trouble");
  let words = "";

  if (live.state === "refused")
    words = live.reason;
  else if (live.state === "offline")
    words = `No numbers since ${clock(live.since)}: ${live.reason}. `
      + "This page goes on by itself when they are back.";
  else if (health?.problems?.length)
    words = `ollama-statsd: ${health.problems.join("; ")}.`;
  node.className = `banner ${live.state === "offline" || live.state === "refused" ? "bad" : "warn"}`;
  text(node, words);
  show(node, words !== "");
}

function refresh() {
  parts();
  button();
  banner();
  document.body.classList.toggle("stale", live.state === "offline" || live.state === "refused");
}

const themes = ["system", "light", "dark"];

function theme(change) {
  let chosen = remember("theme") ?? "system";

  if (change) {
    chosen = themes[(themes.indexOf(chosen) + 1) % themes.length];
    remember("theme", chosen);
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    dispatchEvent(new Event("theme"));
  }
  text($("theme"), `Theme: ${chosen}`);
}

export function start() {
  $("dots").replaceChildren(dot("proxy", "Proxy"), dot("daemon", "Daemon"),
    dot("cloud", "Ollama Cloud"));
  $("live").addEventListener("click", () => live.pause(!live.paused));
  $("theme").addEventListener("click", () => theme(true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => dispatchEvent(new Event("theme")));
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
  setInterval(parts, 1000);
  refresh();
}
