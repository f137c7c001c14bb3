// The bill: what the cloud counted of each account and day, beside this ledger.

import { $, h, show, state } from "./dom.js";
import { exactly, num, usd } from "./format.js";
import { live } from "./live.js";
import { get } from "./net.js";

const panel = $("bill");
const SHOWN = 60;
const WORDS = "The cloud counts more than went through this proxy";
// A day is the cloud's: of UTC, wherever the viewer is.
const date = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

const money = (sum) => (sum === null ? h("td", { class: "n" }, "–")
  : h("td", { class: "n", title: exactly(sum) }, `${sum < 0 ? "−" : ""}${usd(Math.abs(sum))}`));
const count = (n) => h("td", { class: "n" }, num(n));

function render(days) {
  show(panel, days.length > 0);
  if (!days.length) return;
  state(panel);
  show($("bill-shared"), days.some((d) => d.somebody_else));
  panel.querySelector("tbody").replaceChildren(...days.slice(0, SHOWN).map((d) => h("tr", {},
    h("td", { class: "name" }, date.format(new Date(`${d.day}T00:00Z`))),
    h("td", { class: "name", title: d.account }, d.account),
    count(d.theirs.requests), count(d.ours.requests), money(d.theirs.usd), money(d.ours.usd),
    money(d.difference.usd),
    h("td", { class: "name", title: d.somebody_else ? WORDS : null }, d.somebody_else ? "used elsewhere, too" : ""))));
}

async function load() {
  try {
    render(await get("/stats/reconcile"));
  } catch (error) {
    if (!panel.hidden) state(panel, "stale", `Not up to date: ${error.message}.`);
  }
}

// It changes once a day; a page that is opened or comes back asks.
export function start() {
  live.addEventListener("refresh", load);
  load();
}
