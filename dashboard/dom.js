// Making elements. Whatever comes from outside goes in as a child string or as
// an attribute's value: it becomes text, never markup.

export const $ = (id) => document.getElementById(id);

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
  return node;
}

export const h = (name, props = {}, ...children) =>
  fill(document.createElement(name), props, children);

export const svg = (name, props = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), props, children);

// Writes only what is new, so that nothing is laid out again without need.
export function text(node, value) {
  const words = String(value);
  if (node.textContent !== words) node.textContent = words;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// What a panel says instead of its content: loading, empty, error. No words:
// the content is shown.
export function state(panel, kind, words) {
  const line = panel.querySelector(":scope > .state");
  const content = panel.querySelector(":scope > .content");

  show(line, Boolean(words));
  if (words) {
    line.dataset.state = kind;
    text(line, words);
  }
  if (content) show(content, !words || kind === "stale");
}

export function choice(node, options, chosen, onchoose) {
  const buttons = options.map(([value, words]) =>
    h("button", {
      type: "button",
      "aria-pressed": String(value === chosen),
      onclick() {
        for (const b of buttons) b.setAttribute("aria-pressed", String(b === this));
        onchoose(value);
      },
    }, words));
  node.replaceChildren(...buttons);
}

export function table(head, rows, caption) {
  return h("table", { class: "data" },
    caption && h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, head.map((words, i) =>
      h("th", { scope: "col", class: i ? "n" : null }, words)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((words, i) =>
      i ? h("td", { class: "n" }, words) : h("th", { scope: "row" }, words))))));
}

// Outside of an open dialog nothing is heard or pressed, so it has its own box.
export function toast(words, kind = "ok") {
  const node = h("div", { class: `toast ${kind}` }, words);
  (document.querySelector("dialog[open] > .toasts") ?? $("toasts")).append(node);
  setTimeout(() => node.remove(), kind === "bad" ? 10000 : 5000);
}

// One run at the end of the interval, however often it is asked for. The
// interval may be a function.
export function throttle(ms, fn) {
  let timer = 0;
  let last = 0;

  return () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      last = Date.now();
      fn();
    }, Math.max(0, last + (typeof ms === "function" ? ms() : ms) - Date.now()));
  };
}

export function remember(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // a browser without storage forgets
  }
  return null;
}

// A colour of style.css as rgb(), for the canvas.
export function colour(name) {
  const probe = h("i", { class: `c-${name}` });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
