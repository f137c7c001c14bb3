// A browser over the dashboard, checks, and the wire to the test in Perl.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const given = JSON.parse(process.argv[2]);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export function ok(value, name, diag) {
  say({ ok: Boolean(value), name, diag: typeof diag === "string" ? diag : JSON.stringify(diag ?? null) });
  return Boolean(value);
}

export const is = (got, wanted, name) =>
  ok(JSON.stringify(got) === JSON.stringify(wanted), name, { got, wanted });

export const like = (got, pattern, name) => ok(pattern.test(got), name, { got, pattern: String(pattern) });

export const note = (words) => say({ note: words });

// Asks the test for something: a stop of the daemon, say.
export async function ask(what, more = {}) {
  say({ do: what, ...more });
  return JSON.parse((await lines.next()).value);
}

// Until the value is a true one; undefined if it never is.
export async function poll(fn, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await fn();
    if (value || Date.now() > end) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// Checks a value again and again until it is as wanted, then says so.
export async function becomes(fn, wanted, name, seconds = 10) {
  let got;
  await poll(async () => {
    got = await fn();
    return JSON.stringify(got) === JSON.stringify(wanted);
  }, seconds);
  return is(got, wanted, name);
}

export const digits = (words) => Number(String(words).replace(/[^\d-]/g, "") || NaN);

export const browser = await chromium.launch({
  executablePath: given.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-precise-memory-info"],
});

// A page that keeps what must not happen: errors, other hosts, broken policy.
export async function open(how = {}) {
  const context = await browser.newContext({
    viewport: { width: how.width ?? 1440, height: how.height ?? 900 },
    colorScheme: how.scheme ?? "light",
    locale: how.locale ?? "en-US",
    timezoneId: how.zone ?? "Europe/Oslo",
    httpCredentials: how.token === null ? undefined : { username: "operator", password: how.token ?? given.token },
    ...how.context,
  });
  const page = await context.newPage();
  page.faults = [];
  page.outage = false; // failing requests are expected
  page.on("console", (m) => {
    if (m.type() !== "error" && m.type() !== "warning") return;
    if (page.outage && /Failed to load resource|EventSource|ERR_/.test(m.text())) return;
    page.faults.push(`${m.type()}: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (error) => page.faults.push(`thrown: ${error.stack}`));
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol === "blob:" || protocol === "data:" || host === new URL(given.url).host) return;
    page.faults.push(`another host: ${request.url()}`);
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
    globalThis.hacked = 0;
  });
  if (how.init) await page.addInitScript(how.init);
  if (how.go !== false) {
    await page.goto(`${given.url}/dashboard`);
    await page.waitForSelector("#live.live.live");
  }
  return page;
}

export async function clean(page, name) {
  is(page.faults, [], `${name}: no error, no other host`);
  is(await page.evaluate(() => globalThis.violations), [], `${name}: nothing against the policy`);
  is(await page.evaluate(() => globalThis.hacked), 0, `${name}: no foreign script has run`);
  await page.context().close();
}

// A client of the proxy, beside the page.
export async function chat(body = {}, path = "/api/chat", headers = {}) {
  const answer = await fetch(given.url + path, {
    method: "POST",
    headers: { Authorization: `Bearer ${given.token}`, "Content-Type": "application/json", ...headers },
    body: JSON.stringify({
      model: "gpt-oss:20b", stream: false, messages: [{ role: "user", content: "hi" }], ...body,
    }),
  });
  await answer.text();
  return answer;
}

export async function cloud(page, body) {
  const answer = await fetch(`${given.cloud}/_sim/${page}`,
    body ? { method: "POST", body: JSON.stringify(body) } : {});
  return answer.json();
}

export const words = (page, selector) => page.locator(selector).innerText();

export async function end() {
  await browser.close();
  say({ end: true });
  process.exit(0);
}
