/** @file Threads beside an engine's own: what they are told, and what becomes of the engine when one dies. */
import assert from "node:assert/strict";
import { HelperThreads } from "../../src/engine/helper_threads.ts";
import { workersEnded, workerThreads } from "../../src/gpu/worker_end.ts";
import { until } from "../support/engine.ts";

const module = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;

Deno.test("a helper gets its first message, and the words of one that dies are told", async () => {
  const helpers = new HelperThreads();
  helpers.start({ module: module("onmessage = () => {}"), start: 1 });
  helpers.start({
    module: module("onmessage = ({ data }) => { throw new Error(`dead of ${data.cause}`); }"),
    start: { cause: "thirst" },
  });
  assert.match((await helpers.failed).message, /^A thread of the engine failed: .*dead of thirst$/);
  helpers.end();
  await workersEnded();
});

Deno.test({
  name: "helpers are ended, whether they listen or not",
  ignore: Deno.build.os !== "linux", // Elsewhere threads cannot be listed.
  async fn() {
    // Other tests may have threads as well.
    await workersEnded();
    const others = workerThreads();
    const helpers = new HelperThreads();
    for (const code of ["", "onmessage = () => {}"]) {
      helpers.start({ module: module(code), start: null });
    }
    assert.ok(workerThreads() > others);
    helpers.end();
    await until(() => workerThreads() <= others, "the ends of threads");
  },
});
