/** @file `deno task bench gpu` as a user runs it, with the smallest of sizes. */
import assert from "node:assert/strict";
import type { Report } from "../../../src/eval/report.ts";
import { type GpuResults, STAGES } from "../../../bench/gpu/results.ts";
import { withDirectory } from "../../support/files.ts";

const MAIN = new URL("../../../bench/main.ts", import.meta.url).pathname;

function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, "gpu", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function read(directory: string): Promise<Report<GpuResults>> {
  return JSON.parse(await Deno.readTextFile(`${directory}/gpu.json`));
}

Deno.test("bench gpu runs every stage, tells what it found, and leaves it in a file", async () => {
  await withDirectory({}, async (directory) => {
    const process = start("--quick", "--shape", "tiny", "--minutes", "10", "--out", directory);
    const { code, stdout, stderr } = await process.output();
    const [out, log] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, log);
    const { quick, results: { adapter, stages } } = await read(directory);
    assert.equal(quick, true);
    for (const stage of STAGES) assert.equal(stages[stage]?.status, "done", `${stage}: ${stages[stage]?.error}`);
    assert.ok(out.includes(`tiny, Q4_K, on ${adapter}`));
    const { peaks } = stages.adapter!.results!;
    assert.ok(peaks.readBytesPerSecond! > 0 && peaks.f32OperationsPerSecond! > 0);
    assert.deepEqual([stages.tests!.results!.failed, stages.tests!.results!.filesRun], [0, 1]);
    assert.ok(stages.tests!.results!.passed > 0);
    const [model] = stages.golden!.results!.models;
    assert.deepEqual(model.actual, model.expected);
    assert.deepEqual(stages.decode!.results!.runs.map(({ streams }) => streams), [1, 2]);
    assert.deepEqual(stages.prefill!.results!.runs.map(({ policy, promptTokens }) => [policy, promptTokens]), [
      ["full", 64],
      ["dynamickv", 128],
      ["full", 128],
      ["ebbkv", 128],
    ]);
    const [, compressed, full] = stages.prefill!.results!.runs;
    assert.ok(compressed.finalBytes < full.finalBytes);
    const { profiles } = stages.profile!.results!;
    assert.ok(profiles.every(({ kernels }) => kernels.some(({ label }) => label.startsWith("mat"))));
    assert.ok((await Deno.readTextFile(`${directory}/gpu-profile.svg`)).startsWith("<svg"));
    await assert.rejects(Deno.stat(stages.weights!.results!.path), Deno.errors.NotFound);
  });
});

Deno.test("bench gpu that is killed leaves what it had found by then, and an interrupted one says so", async () => {
  for (const signal of ["SIGKILL", "SIGINT"] as const) {
    await withDirectory({}, async (directory) => {
      const process = start("--quick", "--shape", "tiny", "--minutes", "10", "--out", directory);
      const output = process.stdout.cancel();
      let log = "";
      for await (const chunk of process.stderr.pipeThrough(new TextDecoderStream())) {
        log += chunk;
        if (!log.includes("golden: begins")) continue;
        process.kill(signal);
        break;
      }
      const { code } = await process.status;
      await output;
      assert.ok(log.includes("golden: begins"), log);
      const { results: { stages } } = await read(directory);
      assert.deepEqual([stages.adapter?.status, stages.tests?.status], ["done", "done"]);
      if (signal === "SIGKILL") return;
      assert.equal(code, 130);
      assert.equal(stages.golden?.status, "interrupted");
      assert.equal(stages.weights, undefined);
    });
  }
});

Deno.test("bench gpu refuses what it cannot follow, by name", async () => {
  const refusals: [string[], RegExp][] = [
    [["--minutes", "none"], /--minutes is "none": expected a number above 0/],
    [["--shape", "huge"], /There is no shape "huge": expected one of llama-3-8b, /],
    [["--weights", "Q3"], /There are no weights of type "Q3": expected one of F32, /],
    [["--fast"], /--fast/],
  ];
  for (const [args, message] of refusals) {
    const { code, stderr } = await start(...args).output();
    assert.equal(code, 2);
    assert.match(new TextDecoder().decode(stderr), message);
  }
});
