import assert from "node:assert/strict";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

Deno.test("the CPU engine lets the lowest priority in first, and equal ones as they came, and says how long they waited", async () => {
  const model = await withFile(
    tinyGguf({ architecture: "llama", seed: 3 }),
    (path) => loadCpuModel(path, { maxBatch: 1 }),
  );
  const priorities = [undefined, 7, -2, -2, 0];
  const begun: number[] = [];
  const waited: number[] = [];
  const requests = priorities.map((priority, id) => request([3 + id, 9], { priority, maxTokens: 2 }));
  await runOnCpu(model, requests, (id, event) => {
    if (event.type !== "prefilled") return;
    begun.push(id);
    waited.push(event.waitedSeconds!);
  });
  assert.deepEqual(begun, [2, 3, 0, 4, 1]);
  // One at a time: who comes later has waited longer.
  assert.ok(waited[0] >= 0 && waited.at(-1)! > 0);
  assert.deepEqual(waited, waited.toSorted((a, b) => a - b));
});
