// One request: what it says of its end and its times, the ways on from it, and
// its body, read as messages or as JSON.

import { becomes, chat, clean, cloud, digits, end, given, is, like, note, ok, open, words } from "./harness.mjs";

const evil = '"><img src=x onerror="hacked=1"><script>hacked=1</script>';
const page = await open();
const dialog = page.locator("#request");
const view = dialog.locator(".view");
const row = (model) => page.locator("#query-rows tr", { has: page.locator(".q-model", { hasText: new RegExp(`^${model}$`) }) }).first();

async function show(model) {
  if (await dialog.isVisible()) await dialog.getByRole("button", { name: "Close" }).click();
  await becomes(() => dialog.isVisible(), false, `${model}: none is open`);
  await row(model).locator(".link").click();
  await becomes(() => words(page, "#request .facts div:nth-child(3) dd").then((s) => s.startsWith(model)), true, `${model} is open`);
}
const fact = (name) => dialog.locator(".facts div", { has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) }).locator("dd").innerText();
const legend = () => dialog.locator(".times-legend li").allInnerTexts();

await row("failover").waitFor();

// times

await show("failover");
is(await legend(), ["waited for a slot 50 ms", "lost on earlier attempts 700 ms", "connected 20 ms",
  "waited for the first token 730 ms", "streamed 2 s"], "the time that other attempts took is a part of its own");
is(await dialog.locator(".times").getAttribute("aria-label"), (await legend()).join(", "), "named likewise for those who do not see it");
is(await dialog.locator(".times i").evaluateAll((all) => all.map((i) => Number(i.style.flexGrow)).reduce((a, b) => a + b)), 3500, "all of it is the whole");
is(await fact("Streamed"), "yes, 50 tokens/s", "tokens a second");
is(await fact("Status"), "200, answered", "an answer");
is(await dialog.locator(".why").count(), 0, "which needs no reason");

const when = await page.evaluate((at) => new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric", hour: "numeric",
  minute: "2-digit", second: "2-digit", timeZone: "Europe/Oslo" }).format(at), given.at);
const flat = (s) => s.replace(/\s/g, " ");
const stamp = flat(await fact("Began"));
like(stamp, /:\d\d\.123 /, "the time to the millisecond");
like(stamp, /(CET|CEST|GMT\+\d)$/, "and its zone");
is(stamp.replace(/\.123/, "").replace(/ \S+$/, ""), flat(when), "as the viewer has it");

const id = dialog.locator(".facts code");
is(await id.innerText(), "0193ab7e-5f0c-7e3a-9d41-3b2c8f1e6a90", "the cloud's id");
is(await fact("X-Request-Id of the cloud"), await id.innerText(), "is said to be the cloud's");
is(await id.evaluate((node) => node.getClientRects().length), 1, "in one line");
is(await dialog.locator(".facts dd").first().evaluate((node) => node.clientHeight < 25), true, "as the time is");

// of many attempts the first and the last eight

await show("patient");
is(await dialog.locator(".attempts").count(), 2, "many attempts are told in two parts");
is(await dialog.locator(".attempts li").count(), 16, "of sixteen");
is(await dialog.locator(".attempts + p").innerText(), "… 14 more …", "with how many are between them");
is(await dialog.locator(".attempts").last().evaluate((node) => [node.start, node.style.counterReset].join(" ")),
  "23 n 22", "and go on with their numbers");
like(await row("patient").locator(".q-key").innerText(), /429 on one, then 14 more, then 429 on one/, "the row says it, too");

await show("nothing");
is(await dialog.locator(".times, .times-legend").count(), 0, "no time, no bar");
is(await fact("Streamed"), "yes", "and no speed");

// ends and reasons

for (const [model, status, first, reason] of [
  ["failed", "503, failed", "waited for the answer 500 ms", `Reason overloaded${evil}`],
  ["refused", "429, refused", "waited for the answer 90 ms", null],
  ["here", "429, refused by the proxy itself", "in the proxy 10 ms", "Reason all keys are busy"],
  ["cut", "200, the cloud hung up", "streamed 800 ms", "Reason closed in the middle"],
  ["inside", "200, an error inside the stream", "streamed 800 ms", "Reason an upstream error"],
  ["stopped", "no status, nginx was stopped", "waited for the answer 600 ms", null],
  ["killed", "200, its nginx worker was killed", "streamed 800 ms", "Reason gone"],
  ["hung", "499, the client hung up", "waited for the answer 700 ms", null],
]) {
  await show(model);
  is(await fact("Status"), status, `${model}: how it ended`);
  is((await legend()).at(-1), first, `${model}: what the end of the time went for`);
  const why = dialog.locator(".inside > :first-child.why.bad");
  is(await why.count() ? await why.innerText() : null, reason, `${model}: its reason first, if there is one`);
}
is(await fact("Streamed"), "yes", "no tokens, no speed");
is(await dialog.locator("img, script").count(), 0, "no element came of a reason");
await page.setViewportSize({ width: 1440, height: 400 });
const scrolled = () => dialog.locator(".inside").evaluate((node) => node.scrollTop);
await dialog.locator(".inside").evaluate((node) => { node.scrollTop = 9999; });
ok(await scrolled() > 0, "a long one is scrolled");
await show("failed");
is(await scrolled(), 0, "the next one begins at its reason");
await page.setViewportSize({ width: 1440, height: 900 });

await cloud("rules", { rules: [{ match: { model: "gone" }, times: -1, preset: "not_found_404" }] });
await chat({ model: "gone" });
await row("gone").waitFor();
await show("gone");
is(await fact("Status"), "404, refused", "what the cloud refuses");
like(await words(page, "#request .why.bad"), /^Reason .*gone/, "it says why");

// neighbours

const number = async () => digits(await words(page, "#request-title"));
const ids = await page.locator("#query-rows tr").evaluateAll((all) => all.map((tr) => Number(tr.dataset.id)));
const older = dialog.getByRole("button", { name: "Older" });
const newer = dialog.getByRole("button", { name: "Newer" });
await page.keyboard.press("Escape");
await page.locator("#query-rows .link").first().click();
is(await number(), ids[0], "the newest");
is(await newer.isDisabled(), true, "has none before it");
await older.click();
is(await number(), ids[1], "then the one below it");
is(await older.evaluate((node) => node === document.activeElement), true, "pressed on, further down");
await page.keyboard.press("ArrowRight");
is(await number(), ids[2], "by the arrow, too");
await page.keyboard.press("ArrowLeft");
await page.keyboard.press("ArrowLeft");
is(await number(), ids[0], "and back");
is(await dialog.evaluate((node) => node.contains(document.activeElement)), true, "the focus is kept inside");
await page.keyboard.press("ArrowLeft");
is(await number(), ids[0], "there is an end");
await page.keyboard.press("ArrowRight");
await page.keyboard.press("Escape");
await becomes(() => page.evaluate(() => document.activeElement.closest("tr")?.dataset.id), String(ids[1]), "closed, the focus is at the one seen last");

await page.locator("#query-rows .link").first().click();
await chat({ model: "newest" });
await becomes(() => newer.isEnabled(), true, "one that comes meanwhile");
await newer.click();
is(await fact("Model"), "newest same model", "can be gone to");

// others like it

await dialog.getByRole("button", { name: "same model" }).click();
is(await dialog.isVisible(), false, "what filters closes");
is(await page.locator("#f-model").inputValue(), "newest", "the filter is set");
await becomes(() => page.locator("#query-rows .q-model").allInnerTexts(), ["newest"], "and is at work");
is(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Requests, newest first", "the focus is at the list");
await page.locator("#f-clear").click();
await row("nothing").waitFor();
await show("nothing");
await dialog.getByRole("button", { name: "same client" }).click();
is(await page.locator("#f-client").inputValue(), "anna", "a client by its name");
await becomes(() => page.locator("#query-rows .q-model").allInnerTexts(), ["nothing"], "and is at work, too");
await page.locator("#f-clear").click();
await row("failover").waitFor();
await show("failover");
is(await fact("Key"), "two same key", "its key");
await dialog.getByRole("button", { name: "same key" }).click();
is(await page.locator("#f-key").inputValue(), "feed0002", "by its fingerprint, even if the pool has it no more");
await becomes(async () => (await page.locator("#query-rows .q-model").allInnerTexts()).includes("newest"), false, "those of another are gone");
ok(await page.locator("#query-rows tr").count() > 5, "its own are there");
await page.locator("#f-clear").click();

// bodies: what each API says, word for word

const image = Buffer.alloc(120 * 1024, 7).toString("base64");
const shapes = [
  ["the native chat", {
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: "two\nlines", images: [image] },
      { role: "assistant", thinking: "hm", content: "", tool_calls: [{ function: { name: "weather", arguments: { city: "Oslo" } } }] },
      { role: "tool", tool_name: "weather", content: "{\"c\":7}" },
    ],
    tools: [{}, {}],
  }, `tools:
2 to choose from

system:
be brief

user:
two
lines
[image, 120 KiB]

assistant:
(thinking)
hm
(calls weather)
{
  "city": "Oslo"
}

tool:
(result of weather)
{
  "c": 7
}
`],
  ["native generate", { system: "be brief", prompt: "why?", suffix: "end", images: [image] },
    "system:\nbe brief\n\nprompt:\nwhy?\n[image, 120 KiB]\n\nsuffix:\nend\n"],
  ["OpenAI's chat", {
    messages: [
      { role: "user", content: [{ type: "text", text: "what is this?" },
        { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } },
        { type: "image_url", image_url: { url: "https://x.test/a.png" } }] },
      { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: "{\"at\":[1]}" } }] },
      { role: "tool", tool_call_id: "c1", content: "a cat\nand a dog" },
    ],
  }, `user:
what is this?
[image, 120 KiB]
[image, https://x.test/a.png]

assistant:
(calls look)
{
  "at": [
    1
  ]
}

tool:
(result of look)
a cat
and a dog
`],
  ["OpenAI's completions", { prompt: ["one", "two"] }, "prompt:\none\ntwo\n"],
  ["tokens for words", { prompt: [1, 2, 3] }, "prompt:\n[3 tokens]\n"],
  ["embeddings", { input: ["one", "two"] }, "input:\none\n\ninput:\ntwo\n"],
  ["OpenAI's responses", {
    instructions: "be brief",
    input: [
      { role: "user", content: [{ type: "input_text", text: "hello" }, { type: "input_image", file_id: "file-7" }] },
      { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }] },
      { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: "c1", output: "nothing" },
      { type: "item_reference", id: "i1" },
    ],
  }, `instructions:
be brief

user:
hello
[image, file-7]

assistant:
(thinking)
hm

assistant:
(calls look)
{}

tool:
(result of look)
nothing

item_reference:
{
  "type": "item_reference",
  "id": "i1"
}
`],
  ["responses in one string", { input: "hello" }, "input:\nhello\n"],
  ["Anthropic's messages", {
    system: [{ type: "text", text: "be brief", cache_control: { type: "ephemeral" } }],
    messages: [
      { role: "user", content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: image } }, { type: "text", text: "this?" }] },
      { role: "assistant", content: [{ type: "thinking", thinking: "hm" }, { type: "tool_use", id: "t1", name: "look", input: { at: 1 } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", is_error: true, content: [{ type: "text", text: "too dark" }] }] },
    ],
  }, `system:
be brief

user:
[image, 120 KiB]
this?

assistant:
(thinking)
hm
(calls look)
{
  "at": 1
}

user:
(error of look)
too dark
`],
  ["a part that nobody knows", { messages: [{ role: "user", content: [{ type: "new", x: 1 }] }] },
    "user:\n(new)\n{\n  \"type\": \"new\",\n  \"x\": 1\n}\n"],
  ["nothing to read", { name: "x" }, null],
  ["no message", { messages: [] }, null],
  ["no object", [1], null],
];
for (const [name, body, wanted] of shapes) {
  is(await page.evaluate(async (b) => {
    const { plain, read } = await import("/dashboard/messages.js");
    const said = read(b);
    return said && plain(said);
  }, body), wanted, `messages of ${name}`);
}
for (const body of [{ messages: [null, 5, "x", [], {}] }, { messages: [{ role: {}, content: [null, 5, [[]], {}], tool_calls: [null, 5, {}, { function: 5 }], images: [null, {}] }] },
  { input: [null, { type: 5 }, { type: "message" }, { type: "reasoning", content: 5 }] }, { prompt: {}, images: {} }, { messages: {} }]) {
  is(await page.evaluate(async (b) => {
    const { plain, read } = await import("/dashboard/messages.js");
    return typeof (plain(read(b) ?? []));
  }, body), "string", `whatever it is: ${JSON.stringify(body).slice(0, 60)}`);
}

// as the page shows them

const choice = (name) => dialog.getByRole("group", { name: "Body as" }).getByRole("button", { name });
await chat({ model: "read", messages: [
  { role: "user", content: `first line\nsecond needle\n${evil}` },
  { role: `r${evil}`, content: [{ type: `t${evil}`, text: "İ İ needle" }] },
  { role: "assistant", content: "", tool_calls: [{ function: { name: `n${evil}`, arguments: { needle: evil } } }] },
] });
await row("read").waitFor();
await show("read");
await becomes(() => choice("Messages").getAttribute("aria-pressed"), "true", "messages come first");
is(await view.locator("h4").allInnerTexts(), ["user", `r${evil}`, "assistant"], "who says it");
is(await view.locator(".text").first().innerText(), `first line\nsecond needle\n${evil}`, "and what, with its lines");
is(await view.locator("img, script").count(), 0, "markup in it is text");

const search = dialog.locator("input");
const found = dialog.locator(".find [role=status]");
const marked = () => page.evaluate(() => ["found", "current"].map((name) =>
  [...(CSS.highlights.get(name) ?? [])].map((range) => range.toString())));
await search.fill("n");
await becomes(() => found.innerText(), "two letters or more", "one letter is not looked for");
await search.fill("NEEDLE");
await becomes(() => found.innerText(), "1 of 3", "what is looked for is counted");
is(await marked(), [["needle", "needle", "needle"], ["needle"]], "and marked, after letters that grow in lower case, too");
await page.keyboard.press("Shift+Enter");
is(await found.innerText(), "3 of 3", "Shift+Enter goes back");
await page.keyboard.press("Enter");
is(await found.innerText(), "1 of 3", "Enter goes on");
await page.keyboard.press("ArrowLeft");
is(await fact("Model"), "read same model", "arrows in the search stay there");
await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
await dialog.getByRole("button", { name: "Copy" }).click();
await becomes(async () => (await clipboard()).startsWith("user:\nfirst line\nsecond needle\n"), true, "the messages are copied");
is(await dialog.locator("> .toasts[role=status]").innerText(), "The body is copied", "and that is said inside the dialog, where it is heard");

await choice("JSON").click();
like(await view.innerText(), /^\{\n {2}"model": "read",/, "as JSON");
is(await found.innerText(), "1 of 3", "the search goes on in it");
is((await marked())[0].length, 3, "with its marks");
await dialog.getByRole("button", { name: "Copy" }).click();
await becomes(async () => JSON.parse(await clipboard()).model, "read", "and is copied so");
await page.keyboard.press("Escape");
await becomes(marked, [[], []], "a closed one leaves no marks");
await page.reload();
await page.waitForSelector("#live.live.live");
await show("read");
await becomes(() => choice("JSON").getAttribute("aria-pressed"), "true", "the choice is remembered");
await choice("Messages").click();

const wrong = await fetch(`${given.url}/api/chat`, { method: "POST", body: '{"messages": [{"role": "user", "content": "half a',
  headers: { Authorization: `Bearer ${given.token}`, "Content-Type": "application/json" } });
await wrong.text();
await page.keyboard.press("Escape");
await page.locator("#query-rows tr .code", { hasText: String(wrong.status) }).first().click();
await becomes(() => view.innerText(), '{"messages": [{"role": "user", "content": "half a', "half a body is shown as it is");
is(await dialog.getByRole("group", { name: "Body as" }).count(), 0, "with nothing to choose");

// a megabyte

const lines = "the needle lies here\nfoo bar\n".repeat(33000);
await chat({ model: "large", messages: [{ role: "user", content: lines }] });
await row("large").waitFor();
// what the page itself works for something, in all its tasks and whatever else
// the machine does; to lay a megabyte out again is twice as much and more
const wire = await page.context().newCDPSession(page);
await wire.send("Performance.enable", { timeDomain: "threadTicks" });
const frames = () => page.evaluate(() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
async function busy() {
  const { metrics } = await wire.send("Performance.getMetrics");
  return metrics.find((m) => m.name === "TaskDuration").value * 1000;
}
async function work(act) {
  const before = await busy();
  await act();
  await frames();
  return await busy() - before;
}
const spin = await work(() => page.evaluate(() => { for (const end = performance.now() + 1000; performance.now() < end;); }));
ok(spin > 100, `work is noticed (${Math.round(spin)} ms)`, spin);

for (const name of ["Messages", "JSON"]) {
  await show("large");
  await choice(name).click();
  await becomes(() => view.evaluate((node) => node.textContent.length > 900000), true, `${name}: a megabyte is shown`);
  await frames();
  for (const [what, act, wanted] of [
    ["a letter", () => search.fill("e"), "two letters or more"],
    ["two", () => search.fill("he"), "1 of 66,000, the nearest 200 marked"],
    ["a word", () => search.fill("needle"), "1 of 33,000, the nearest 200 marked"],
    ["what is not there", () => search.fill("needles"), "0 found"],
    ["two words", () => search.fill("the needle"), "1 of 33,000, the nearest 200 marked"],
    ["the last", () => page.keyboard.press("Shift+Enter"), "33,000 of 33,000, the nearest 200 marked"],
    ["the one before", () => page.keyboard.press("Shift+Enter"), "32,999 of 33,000, the nearest 200 marked"],
  ]) {
    const took = await work(async () => {
      await act();
      await becomes(() => found.innerText(), wanted, `${name}: ${what}`);
    });
    note(`${name}: ${what} takes ${Math.round(took)} ms`);
    ok(took < 200, `${name}: ${what} is no work of 200 ms`, took);
  }
  await becomes(() => page.evaluate(() => {
    const at = [...CSS.highlights.get("current")][0].getBoundingClientRect();
    const box = document.querySelector("#request .view").getBoundingClientRect();
    return at.height > 0 && at.top >= box.top && at.bottom <= box.bottom;
  }), true, `${name}: what was gone to is seen`);
}

await clean(page, "request");
await end();
