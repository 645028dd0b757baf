import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

/**
 * Runs `serve` in a process of its own, since signals go to processes. Its engine is a stand-in that generates forty
 * tokens in two seconds; it has loaded as soon as a line arrives on standard input.
 */
const SCRIPT = `
  import { serve } from "${new URL("../../src/cli/serve.ts", import.meta.url)}";
  import { FakeEngine } from "${new URL("../support/fake_engine.ts", import.meta.url)}";
  import { byteTokens, fakeChatTemplate, fakeText } from "${new URL("../support/fake_text.ts", import.meta.url)}";
  const engine = new FakeEngine({ script: () => ({ tokens: byteTokens("x".repeat(40)), delay: 50 }) });
  async function start() {
    await Deno.stdin.read(new Uint8Array(1));
    return { engine, text: fakeText, chatTemplate: fakeChatTemplate, failed: new Promise(() => {}), close: () => Promise.resolve() };
  }
  const options = { host: "127.0.0.1", port: Number(Deno.args[0]), allowedOrigins: ["*"], policy: "full", kvBudget: 1, device: "cpu" };
  Deno.exit(await serve(options, start));
`;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts the server and waits until it answers that it is still loading. */
async function startLoading() {
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", SCRIPT, String(port)],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const loading = await firstAnswer(`${url}/health`);
  return {
    url,
    process,
    reader,
    loading,
    async finishLoading() {
      const writer = process.stdin.getWriter();
      await writer.write(new Uint8Array([10]));
      await writer.close();
      return (await reader.read()).value;
    },
  };
}

async function firstAnswer(url: string): Promise<Response> {
  for (let attempt = 0; attempt < 400; attempt++) {
    try {
      return await fetch(url);
    } catch {
      await setTimeout(50);
    }
  }
  throw new Error(`${url} did not answer within 20 seconds`);
}

async function startStream(url: string) {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "Hi", max_tokens: 40, temperature: 0, stream: true }),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader.read()).value ?? "", /^data: /);
  return reader;
}

Deno.test({
  name:
    "serve is not healthy while loading, has requests wait, prints one line when ready, and ends streams after a SIGTERM",
  ignore: Deno.build.os === "windows",
  async fn() {
    const { url, process, reader, loading, finishLoading } = await startLoading();
    assert.equal(loading.status, 503);
    assert.deepEqual(await loading.json(), { status: "loading" });
    const waiting = fetch(`${url}/v1/models`, { headers: { origin: "https://example.org" } });

    assert.equal(await finishLoading(), `Listening on ${url}\n`);
    const models = await waiting;
    assert.equal((await models.json()).object, "list");
    assert.equal(models.headers.get("access-control-allow-origin"), "*");
    const stream = await startStream(url);
    process.kill("SIGTERM");
    let text = "";
    for (let part = await stream.read(); !part.done; part = await stream.read()) text += part.value;
    assert.match(text, /"finish_reason":"length"/);
    assert.ok(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
    assert.equal((await process.status).code, 0);
    assert.equal((await reader.read()).done, true, "more than one line on standard output");
  },
});

Deno.test({
  name: "serve ends at once with 130 on a second SIGINT, streams or not",
  ignore: Deno.build.os === "windows",
  async fn() {
    const { url, process, reader, loading, finishLoading } = await startLoading();
    await loading.body?.cancel();
    await finishLoading();
    const stream = await startStream(url);
    process.kill("SIGINT");
    await setTimeout(500);
    process.kill("SIGINT");
    assert.equal((await process.status).code, 130);
    await stream.cancel().catch(() => {});
    await reader.cancel();
  },
});
