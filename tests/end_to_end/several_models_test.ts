/** @file `main.ts serve` with two models and room for one, through the openai client. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { withDirectory } from "../support/files.ts";
import { TestServer } from "../support/server.ts";

Deno.test("two models take turns where there is room for one, and a damaged third costs its own requests", () =>
  withDirectory({
    "small.gguf": tinyGguf({ architecture: "llama", seed: 3 }),
    "other.gguf": tinyGguf({ architecture: "qwen2", seed: 4 }),
    "damaged.gguf": "GGUF, or not",
  }, async (folder) => {
    const further = ["chat=other", "damaged"].flatMap((name) => [
      "--model",
      name.includes("=") ? name.replace("=", `=${folder}/`) + ".gguf" : `${folder}/${name}.gguf`,
    ]);
    const options = ["--max-models", "1", "--alias", "gpt", "--kv-memory", "8MiB", "--device", "cpu"];
    const server = await TestServer.start(`${folder}/small.gguf`, ...further, ...options);
    try {
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
      const complete = (model: string) =>
        client.completions.create({ model, prompt: "hello there", max_tokens: 4, temperature: 0 });
      const first = await complete("gpt");
      assert.equal(first.model, "small");
      // Both at once, by turns.
      const both = await Promise.all([complete("chat"), complete("small")]);
      assert.deepEqual(both.map(({ model }) => model), ["chat", "small"]);
      assert.equal(both[1].choices[0].text, first.choices[0].text);
      await assert.rejects(complete("damaged"), { status: 503, code: "model_load_failed" });
      assert.equal((await complete("small")).choices[0].text, first.choices[0].text);
      const { data } = await client.models.list();
      assert.deepEqual(data.map(({ id, ...model }) => [id, (model as any).status.value]), [
        ["small", "loaded"],
        ["chat", "unloaded"],
        ["damaged", "failed"],
      ]);
    } finally {
      const { code, stderr } = await server.stop();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /The model damaged could not be loaded: .*damaged\.gguf/);
    }
  }));
