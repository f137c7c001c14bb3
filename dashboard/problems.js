// Below the head: what the daemon wants somebody to have seen, until they say
// that they have.

import { $, h, show, toast } from "./dom.js";
import { full } from "./format.js";
import { live } from "./live.js";
import { post } from "./net.js";

const list = new Map(); // name -> { node, text }
const seen = new Map(); // name -> since: acknowledged here, perhaps not yet told

// Of all problems those that have no line of their own.
export const others = (health) => {
  const own = new Set((health?.to_acknowledge ?? []).map((p) => p.text));
  return (health?.problems ?? []).filter((words) => !own.has(words));
};

function drop(name) {
  list.get(name)?.node.remove();
  list.delete(name);
  show($("problems"), list.size > 0);
}

async function acknowledge({ name, since }, button) {
  button.disabled = true;
  try {
    await post(`/stats/problems/${name}/acknowledge`);
  } catch (error) {
    // somebody else was quicker
    if (error.status !== 404) {
      toast(`not acknowledged: ${error.message}`, "bad");
      button.disabled = false;
      return;
    }
  }
  seen.set(name, since);
  drop(name);
  $("live").focus();
}

function line(problem) {
  const { name, since, text } = problem;
  const button = h("button", { type: "button", class: "quiet" }, "Acknowledge");
  const words = h("p", { id: `problem-${name}` }, `ollama-statsd: ${text}.`);
  const node = h("div", { class: "banner bad problem" }, words, button);

  if (since) words.title = `since ${full(Date.parse(since))}`;
  button.setAttribute("aria-describedby", words.id);
  button.addEventListener("click", () => acknowledge(problem, button));
  return node;
}

function render(health) {
  const now = health.to_acknowledge ?? [];
  const names = new Set(now.map((p) => p.name));

  for (const name of list.keys()) if (!names.has(name)) drop(name);
  for (const name of seen.keys()) if (!names.has(name)) seen.delete(name);
  for (const problem of now) {
    const old = list.get(problem.name);

    if (seen.get(problem.name) === problem.since || old?.text === problem.text) continue;
    const node = line(problem);
    if (old) old.node.replaceWith(node);
    else $("problems").append(node);
    list.set(problem.name, { node, text: problem.text });
  }
  show($("problems"), list.size > 0);
}

export function start() {
  live.addEventListener("health", ({ detail }) => render(detail));
}
