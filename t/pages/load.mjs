// The page under load: long tasks, memory, what it costs. Figures, and checks
// against what is promised.

import { given, note, ok, open, end, browser } from "./harness.mjs";

const seconds = given.seconds;
const page = await open({
  init: () => {
    globalThis.longest = 0;
    globalThis.tasks = [];
    new PerformanceObserver((list) => {
      for (const task of list.getEntries()) globalThis.tasks.push(Math.round(task.duration));
    }).observe({ type: "longtask", buffered: true });
  },
});
const wire = await page.context().newCDPSession(page);
await wire.send("Performance.enable");
await wire.send("HeapProfiler.enable");

async function metrics() {
  await wire.send("HeapProfiler.collectGarbage");
  const { metrics: list } = await wire.send("Performance.getMetrics");
  return Object.fromEntries(list.map((m) => [m.name, m.value]));
}

await page.locator("#query-rows tr").first().waitFor();
await page.waitForTimeout(15000); // until the first minutes of everything are there
await page.evaluate(() => { globalThis.tasks.length = 0; });

const first = await metrics();
const heaps = [first.JSHeapUsedSize];
for (let i = 0; i < 10; i++) {
  await page.waitForTimeout(seconds * 100);
  heaps.push((await metrics()).JSHeapUsedSize);
}
const last = await metrics();
const tasks = await page.evaluate(() => globalThis.tasks);
const busy = (last.TaskDuration - first.TaskDuration) / seconds;
const share = (name) => `${name} ${((last[name] - first[name]) / seconds * 100).toFixed(1)} %`;
const mib = heaps.map((n) => (n / 1048576).toFixed(1));
const half = heaps.length >> 1;
const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
const growth = mean(heaps.slice(half)) / mean(heaps.slice(1, half));

note(`${given.rate} requests/s for ${seconds} s: main thread ${(busy * 100).toFixed(1)} % busy (`
  + `${["ScriptDuration", "LayoutDuration", "RecalcStyleDuration"].map(share).join(", ")}), `
  + `long tasks ${tasks.length}, longest ${Math.max(0, ...tasks)} ms, heap MiB ${mib.join(" ")}, `
  + `nodes ${first.Nodes} -> ${last.Nodes}, shown ${await page.locator("#query-note").innerText()}`);
ok(Math.max(0, ...tasks) <= 100, `no task over 100 ms (${Math.max(0, ...tasks)})`, tasks);
ok(growth < 1.1, `memory is flat (${mib.join(" ")} MiB)`, heaps);
ok(last.Nodes < first.Nodes * 1.2 + 2000, "so is the document", [first.Nodes, last.Nodes]);
ok(page.faults.length === 0, "no error", page.faults);

await end();
