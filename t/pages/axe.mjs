// axe-core over a page. It runs in a world of its own, beside the page's policy.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { is, ok } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function accessible(page, name) {
  const wire = await page.context().newCDPSession(page);
  const { frameTree } = await wire.send("Page.getFrameTree");
  const { executionContextId } = await wire.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
  await wire.send("Runtime.evaluate", { expression: axe, contextId: executionContextId });
  const { result } = await wire.send("Runtime.evaluate", {
    contextId: executionContextId, awaitPromise: true, returnByValue: true,
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
      .then((r) => ({ passes: r.passes.length, bad: r.violations.map((v) =>
        v.impact + " " + v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary).slice(0, 3).join(" | ")) }))`,
  });
  ok(result.value?.passes > 20, `${name}: axe has looked`, result);
  is(result.value?.bad, [], `${name}: axe finds nothing`);
}
