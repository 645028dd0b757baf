import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const EXAMPLE = fileURLToPath(new URL("../../examples/embedding/main.ts", import.meta.url));

Deno.test("the example of embedding serves Ebb beside a route of its own, and ends when it is told to", async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", EXAMPLE],
    env: { PORT: "0" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let printed = "";
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!printed.includes("\n")) printed += (await reader.read()).value ?? assert.fail("It did not start");
  const url = printed.trim().replace("Listening on ", "");
  try {
    assert.equal(await (await fetch(url)).text(), "Hello");
    const models = await (await fetch(`${url}/llm/v1/models`)).json();
    assert.equal(models.data.length, 1);
    const completion = await fetch(`${url}/llm/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "The quick brown fox", max_tokens: 3, kv_cache: { policy: "snapkv", budget: 2 } }),
    });
    const { usage } = await completion.json();
    assert.deepEqual([usage.completion_tokens, usage.kv_cache.policy], [3, "snapkv"]);
    const missing = await fetch(`${url}/llm/v1/nothing`);
    assert.equal(missing.status, 404);
    await missing.body?.cancel();
  } finally {
    process.kill("SIGTERM");
    await reader.cancel();
  }
  assert.equal((await process.status).code, 0);
});
