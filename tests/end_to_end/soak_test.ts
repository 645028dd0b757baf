import assert from "node:assert/strict";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { soak } from "../../tools/stress/soak.ts";
import { withFile } from "../support/files.ts";
import { TestServer } from "../support/server.ts";

Deno.test("many clients, a third of whom go, get the answers that they get alone, and leave nothing behind", async () => {
  const model = tinyGguf({ architecture: "llama", context: 2048 });
  const server = await withFile(model, (path) => TestServer.start(path, "--device", "gpu", "--max-batch", "8"));
  try {
    const { url } = server;
    const report = await soak({ url, requests: 60, clients: 12, abortShare: 1 / 3, seed: 1, maxTokens: 8 });
    assert.deepEqual(report.wrong, []);
    assert.equal(report.answered + report.aborted + report.refused, 60);
    assert.ok(report.answered >= 30);
    assert.deepEqual(report.left, { num_requests_running: 0, num_requests_waiting: 0, kv_cache_usage_perc: 0 });
  } finally {
    await server.stop();
  }
});
