import assert from "node:assert/strict";

/** Starts a worker, waits until it runs, ends it, and prints how many threads of workers there are before, then and at last. */
const SCRIPT = `
  import { endWorker, workersEnded, workerThreads } from "${new URL("../../src/gpu/worker_end.ts", import.meta.url)}";
  const source = "await navigator.gpu.requestAdapter(); postMessage(0);";
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  await new Promise((resolve) => worker.onmessage = resolve);
  const running = workerThreads();
  endWorker(worker);
  const ending = workerThreads();
  await workersEnded();
  console.log(JSON.stringify([running, ending, workerThreads()]));
`;

Deno.test({
  name: "a worker that has been ended has a thread for a while, and none once it is waited for",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", SCRIPT],
      stderr: "null",
    }).output();
    // In a process of its own: the threads of tests are workers too.
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), [1, 1, 0]);
  },
});

Deno.test({
  name: "eight starts at once with a model that does not exist all end with 4",
  async fn() {
    const main = new URL("../../main.ts", import.meta.url).href;
    const ends = await Promise.all(Array.from({ length: 8 }, () =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", main, "serve", "--port", "0", "--model", "no-such-model.gguf"],
        stdout: "null",
        stderr: "null",
      }).output()));
    assert.deepEqual(ends.map(({ code, signal }) => signal ?? code), Array(8).fill(4));
  },
});
