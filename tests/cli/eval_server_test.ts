import assert from "node:assert/strict";
import { evalCompare } from "../../src/cli/eval.ts";
import { EVAL_COMPARE_FLAGS } from "../../src/cli/flags/measuring.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { withDirectory } from "../support/files.ts";
import { TestServer } from "../support/server.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

/** What a run wrote and printed. */
async function run(folder: string, ...more: string[]) {
  const out = `${folder}/out.json`;
  const line = `--model ${folder}/tiny.gguf --suite needle --policies snapkv --budgets 64 --lengths 480 --samples 2`;
  const printed: string[] = [];
  const { log, error } = console;
  console.log = console.error = (text: string) => printed.push(text);
  try {
    const options = parseOptions([...line.split(" "), "--out", out, ...more], EVAL_COMPARE_FLAGS, {});
    assert.equal(await evalCompare(options), 0);
  } finally {
    Object.assign(console, { log, error });
  }
  return { results: JSON.parse(await Deno.readTextFile(out)).results, printed: printed.join("\n") };
}

const withTinyModel = (action: (folder: string) => Promise<void>) =>
  withDirectory({ "tiny.gguf": tinyGguf({ architecture: "llama" }) }, action);

Deno.test("An Ebb server is asked with every policy and budget, and says what it kept", async () => {
  await withTinyModel(async (folder) => {
    const server = await TestServer.start(`${folder}/tiny.gguf`, "--max-batch", "4", "--api-key", "secret");
    try {
      const { results, printed } = await run(folder, "--url", server.url, "--api-model", "tiny", "--api-key", "secret");
      assert.match(printed, /is an Ebb server: policies and budgets go along with each question/);
      assert.match(printed, /Compression took place on every sample: all 2 prompts/);
      const [full, snapkv] = results.tasks;
      assert.deepEqual([full.policy, full.compressed, full.keptBytes], ["full", 0, 1]);
      assert.deepEqual([snapkv.policy, snapkv.budget, snapkv.rowsPerLayer], ["snapkv", 64, [64, 64]]);
      assert.equal(snapkv.agreement, null);
    } finally {
      await server.stop();
    }
  });
});

Deno.test("Any other server is the only contender, asked as it is with the prompt and what begins the answer", async () => {
  const requests: Record<string, unknown>[] = [];
  const server = Deno.serve({ port: 0, onListen: () => {} }, async (request) => {
    if (new URL(request.url).pathname !== "/v1/completions") return new Response("no such page", { status: 404 });
    requests.push(await request.json());
    return Response.json({
      choices: [{ index: 0, text: " eat a sandwich and sit in Dolores Park on a sunny day.", finish_reason: "stop" }],
      usage: { prompt_tokens: 450, completion_tokens: 20, total_tokens: 470 },
    });
  });
  const url = `http://localhost:${server.addr.port}/v1/`;
  try {
    await withTinyModel(async (folder) => {
      const { results, printed } = await run(folder, "--url", url, "--api-model", "other");
      assert.match(printed, /knows no KV cache policies: it is asked as it is/);
      assert.match(printed, /Nothing was compressed: only one contender was asked, as it is/);
      assert.deepEqual(
        results.averages.map(({ policy, budget, score, percentOfFull, keptBytes }: Record<string, unknown>) => //
        [policy, budget, score, percentOfFull, keptBytes]),
        [["the server", null, 100, null, null]],
      );
      assert.equal(requests.length, 2);
      for (const request of requests) {
        assert.deepEqual([request.model, request.temperature, request.max_tokens], ["other", 0, 30]);
        assert.ok(!("kv_cache" in request));
        assert.match(request.prompt as string, /This is a very long story book[^]*Answer:/);
      }
      await assert.rejects(run(folder, "--url", url), /--api-model is missing/);
      await assert.rejects(
        run(folder, "--url", url, "--api-model", "other", "--mode", "two-turn"),
        /--mode two-turn needs a model in this process/,
      );
    });
  } finally {
    await server.shutdown();
  }
});

Deno.test("A server that is not there is named", async () => {
  await withTinyModel(async (folder) => {
    await assert.rejects(
      run(folder, "--url", "http://localhost:9", "--api-model", "other"),
      /localhost:9 does not answer/,
    );
  });
});
