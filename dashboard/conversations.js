// Conversations: what staying with one account gives, by this ledger. Whether the
// cloud keeps its prompt cache by account is not known elsewhere.

import { $, h, show, state, text, throttle } from "./dom.js";
import { num, percent, usd } from "./format.js";
import { live, unlessPaused } from "./live.js";
import { get } from "./net.js";

const panel = $("conversations");
const AGAIN_MS = 60000;

const share = (part) => (part.turns ? percent(part.cached_share) : "–");

function verdict(found) {
  if (found.significant) {
    return found.saved_usd > 0 ? `Keeping saved ${usd(found.saved_usd)} in 7 days`
      : "Keeping saves nothing here: moved turns find as much in the cache";
  }
  return "Not enough moved turns yet to say what keeping saves";
}

function render(found) {
  const rows = found.models.filter((m) => m.kept.turns + m.moved.turns > 0);

  show(panel, rows.length > 0);
  if (!rows.length) return;
  state(panel);
  text($("conversations-said"), verdict(found));
  panel.querySelector("tbody").replaceChildren(...rows.map((m) => h("tr", {},
    h("td", { class: "name", title: m.model }, m.model),
    ...[m.kept, m.moved].flatMap((part) => [h("td", { class: "n" }, num(part.turns)),
      h("td", { class: "n" }, share(part))]),
    h("td", { class: "n", title: m.significant ? null : "the difference may be chance" },
      m.significant && m.saved_usd !== null ? usd(m.saved_usd) : "–"))));
}

async function load() {
  try {
    render(await get("/stats/affinity"));
  } catch (error) {
    if (!panel.hidden) state(panel, "stale", `Not up to date: ${error.message}.`);
  }
}

export function start() {
  const soon = throttle(AGAIN_MS, unlessPaused(load));

  live.addEventListener("queries", soon);
  live.addEventListener("refresh", load);
  load();
}
