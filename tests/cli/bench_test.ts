import assert from "node:assert/strict";
import { BENCH_SERVE_FLAGS } from "../../src/cli/flags/measuring.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { TOKEN } from "../support/fake_text.ts";
import { withDirectory } from "../support/files.ts";
import { runMain } from "../support/server.ts";
import { startApp, withServer } from "../routes/harness.ts";

Deno.test("bench serve measures a server, and writes the numbers and a picture", async () => {
  const app = startApp({
    script: () => ({ tokens: Array(50).fill(TOKEN.one), batch: 2 }),
    model: { contextLength: 1000 },
  });
  await withServer(app, (url) =>
    withDirectory({}, async (directory) => {
      const out = `${directory}/load.json`;
      const { code, stdout, stderr } = await runMain(
        ...["bench", "serve", "--url", url, "--requests", "20", "--input-length", "40", "--output-length", "10"],
        ...["--rate", "500", "--concurrency", "4", "--goodput", "e2el:60000", "--out", out],
      );
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Requests answered +20\n/);
      const {
        completed,
        failed,
        total_output_tokens,
        total_input_tokens,
        request_throughput,
        request_goodput,
        ...rest
      } = JSON.parse(await Deno.readTextFile(out));
      assert.deepEqual([completed, failed, total_output_tokens], [20, 0, 200]);
      // Its tokens are bytes: what a first request found of that gives the length asked for, about.
      assert.ok(Math.abs(total_input_tokens / 20 - 40) < 10, String(total_input_tokens / 20));
      assert.equal(request_goodput, request_throughput);
      assert.equal(rest.model, "fake-model");
      assert.ok(rest.mean_ttft_ms > 0 && rest.mean_e2el_ms >= rest.mean_ttft_ms);
      assert.match(await Deno.readTextFile(`${directory}/load.svg`), /^<svg /);
    }));
  assert.equal(app.engine.generations.length, 21);
});

Deno.test("bench serve says why a server does not answer", async () => {
  const { code, stderr } = await runMain("bench", "serve", "--url", "http://127.0.0.1:1");
  assert.equal(code, 1);
  assert.match(stderr, /^http:\/\/127.0.0.1:1\/v1\/models names no model: /);
});

Deno.test("limits of good requests are read by name", () => {
  const parse = (goodput: string) => parseOptions(["--goodput", goodput], BENCH_SERVE_FLAGS, {}).goodput;
  assert.deepEqual(parse("ttft:300, tpot:12.5"), { ttft: 300, tpot: 12.5 });
  for (const wrong of ["ttft", "fast:3", "ttft:-1", "ttft:1;tpot:2"]) {
    assert.throws(() => parse(wrong), /--goodput must be/);
  }
});
