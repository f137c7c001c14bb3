// The body of a request as what it says: who says what, in the order that the
// model gets it. Knows the native API, OpenAI's chat, completions and
// responses, and Anthropic's messages. What is not known is shown as JSON.
//
//     read({ messages: [{ role: "user", content: "hi" }] })
//     -> [{ role: "user", parts: [{ label: "", words: "hi" }] }]

import { bytes, num, plural } from "./format.js";

const MOST = 5000; // parts: more of them nobody reads, as JSON they are light

const isObject = (v) => v !== null && typeof v === "object" && !Array.isArray(v);
const list = (v) => (Array.isArray(v) ? v : v === undefined || v === null ? [] : [v]);
const string = (v) => (typeof v === "string" ? v : "");
const json = (v) => JSON.stringify(v, null, 2);
const part = (label, words = "") => ({ label, words });

// Arguments and results are objects, or JSON in a string, or just words.
function pretty(v) {
  if (typeof v !== "string") return v === undefined ? "" : json(v);
  try {
    const value = JSON.parse(v);
    return typeof value === "object" ? json(value) : v;
  } catch {
    return v;
  }
}

/* ---- images, files, sounds ---- */

// What base64 stands for: three bytes in four letters.
function weight(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return Math.max(0, Math.floor(base64.length * 3 / 4) - padding);
}

// Bare base64, a data: URL, an address; or the name of what lies elsewhere.
function media(kind, v, name) {
  const words = string(v);

  if (!words) return part("", string(name) ? `[${kind}, ${name}]` : `[${kind}]`);
  if (/^https?:/i.test(words)) return part("", `[${kind}, ${words}]`);
  const data = /^data:/i.test(words) ? words.slice(words.indexOf(",") + 1) : words;
  return part("", `[${kind}, ${bytes(weight(data))}]`);
}

// Anthropic's { type: "base64", data }, "url", "text", "content", "file"
function source(kind, p) {
  const s = isObject(p.source) ? p.source : {};

  if (s.type === "text") return part(p.title ? `${kind} ${p.title}` : kind, string(s.data));
  if (s.type === "content") return [part(kind), ...contents(s.content)];
  return media(kind, s.data ?? s.url, s.file_id);
}

/* ---- tools ---- */

const call = (name, given) => part(`calls ${name || "a tool"}`, pretty(given));

// Which tool an answer is of is said where it was called.
const named = (ids, id, name) => string(name) || ids.get(id) || "a tool";

function result(label, value) {
  if (typeof value === "string") return [part(label, pretty(value))];
  if (Array.isArray(value) && value.every((p) => isObject(p) && "type" in p))
    return [part(label), ...contents(value)];
  return [part(label, pretty(value))];
}

function calls(all) {
  return list(all).filter(isObject).map((c) => {
    const f = c.function ?? c.custom ?? c;
    return call(string(f.name), f.arguments ?? f.input);
  });
}

// id -> name of every call in the body
function names(items) {
  const found = new Map();
  const note = (id, name) => { if (typeof id === "string" && typeof name === "string") found.set(id, name); };

  for (const m of items.filter(isObject)) {
    note(m.call_id, m.name);
    for (const c of list(m.tool_calls).filter(isObject)) note(c.id, (c.function ?? c.custom)?.name);
    for (const p of list(m.content).filter(isObject)) if (/tool_use$/.test(p.type)) note(p.id, p.name);
  }
  return found;
}

/* ---- content: words, or a list of parts ---- */

function content(p, ids) {
  if (typeof p === "string") return part("", p);
  if (Array.isArray(p) && typeof p[0] === "number") return part("", `[${plural(p.length, "token")}]`);
  if (!isObject(p)) return part("", json(p));
  switch (p.type) {
  case "text": case "input_text": case "output_text": case "summary_text": case "reasoning_text":
    return part("", string(p.text));
  case "refusal": return part("refuses", string(p.refusal));
  case "thinking": return part("thinking", string(p.thinking));
  case "redacted_thinking": return part("", "[thinking, not readable]");
  case "image_url": case "input_image":
    return media("image", p.image_url?.url ?? p.image_url, p.file_id);
  case "image": return source("image", p);
  case "document": return source("document", p);
  case "input_audio": return media("sound", p.input_audio?.data ?? p.data);
  case "file": case "input_file": {
    const f = p.file ?? p;
    return [part(string(f.filename)), media("file", f.file_data ?? f.file_url, f.file_id)];
  }
  case "tool_use": case "server_tool_use": return call(string(p.name), p.input);
  case "tool_result":
    return result(`${p.is_error ? "error" : "result"} of ${named(ids, p.tool_use_id)}`, p.content);
  default: return part(string(p.type), json(p));
  }
}

function contents(v, ids = new Map()) {
  return list(v).flatMap((p) => content(p, ids)).filter((p) => p.label || p.words);
}

/* ---- messages ---- */

// A message of a chat: the native API's and OpenAI's tool calls lie beside the
// content, Anthropic's in it.
function message(m, ids) {
  if (!isObject(m)) return { role: "", parts: contents(m) };
  const role = string(m.role);

  if (role === "tool" || role === "function")
    return { role, parts: result(`result of ${named(ids, m.tool_call_id, m.tool_name ?? m.name)}`, m.content) };
  return { role, parts: [
    ...[m.thinking, m.reasoning, m.reasoning_content].filter(string).slice(0, 1).map((words) => part("thinking", words)),
    ...contents(m.content, ids),
    ...list(m.images).map((image) => media("image", image)),
    ...(m.refusal ? [part("refuses", string(m.refusal))] : []),
    ...calls(m.tool_calls),
    ...calls(m.function_call),
  ] };
}

// An item of OpenAI's responses
function item(m, ids) {
  if (!isObject(m)) return { role: "input", parts: contents(m) };
  switch (m.type ?? "message") {
  case "message": return { role: string(m.role), parts: contents(m.content) };
  case "reasoning":
    return { role: "assistant", parts: [
      ...contents([...list(m.summary), ...list(m.content)]).map((p) => part("thinking", p.words)),
      ...(m.encrypted_content ? [part("", "[thinking, not readable]")] : []),
    ] };
  case "function_call": case "custom_tool_call":
    return { role: "assistant", parts: [call(string(m.name), m.arguments ?? m.input)] };
  case "function_call_output": case "custom_tool_call_output":
    return { role: "tool", parts: result(`result of ${named(ids, m.call_id)}`, m.output) };
  default: return { role: string(m.type), parts: [part("", json(m))] };
  }
}

// Numbers are tokens, one text of them.
const texts = (v) => (Array.isArray(v) && typeof v[0] === "number" ? [v] : list(v));

function words(role, v) {
  const parts = contents(texts(v));
  return parts.length ? [{ role, parts }] : [];
}

const tools = (v) => (Array.isArray(v) && v.length
  ? [{ role: "tools", parts: [part("", `${num(v.length)} to choose from`)] }] : []);

// All of them, or null: there is nothing in it to read.
export function read(body) {
  if (!isObject(body)) return null;
  const all = body.messages ?? body.input;
  const ids = names(list(all));
  let said;

  if (Array.isArray(body.messages)) {
    said = body.messages.map((m) => message(m, ids));
  } else if (body.input !== undefined) {
    said = texts(body.input).map((m) => item(m, ids));
  } else {
    const images = list(body.images).map((image) => media("image", image));
    said = words("prompt", body.prompt);
    if (said.length) said[0].parts.push(...images);
    said.push(...words("suffix", body.suffix));
  }
  if (!said.length || said.reduce((n, m) => n + 1 + m.parts.length, 0) > MOST) return null;
  return [...tools(body.tools), ...words("system", body.system), ...words("instructions", body.instructions), ...said];
}

// The same for the clipboard
export const plain = (said) => said.map(({ role, parts }) =>
  [`${role || "message"}:`, ...parts.flatMap((p) => [p.label && `(${p.label})`, p.words]).filter(Boolean), ""]
    .join("\n")).join("\n");
