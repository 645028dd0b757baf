import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

/** Waits for a first signal, says which, and goes on running for a while. */
const SCRIPT = `
  import { firstStopSignal } from "${new URL("../../src/cli/signals.ts", import.meta.url)}";
  const stopped = firstStopSignal();
  console.log("ready");
  console.log(await stopped);
  setTimeout(() => Deno.exit(99), Number(Deno.args[0]));
`;

/** Starts the script and sends it a first signal. */
async function stop(signal: Deno.Signal, goesOnFor: number) {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", SCRIPT, String(goesOnFor)],
    stdout: "piped",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await lines.read()).value, "ready\n");
  process.kill(signal);
  assert.equal((await lines.read()).value, `${signal}\n`);
  await lines.cancel();
  return process;
}

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test({
    name: `The first ${signal} is a request, a later one ends the process with ${code}`,
    ignore: Deno.build.os === "windows",
    async fn() {
      const process = await stop(signal, 20_000);
      await setTimeout(500);
      process.kill(signal);
      assert.equal((await process.status).code, code);
    },
  });
}

Deno.test({
  name: "A signal that arrives twice, as npx makes it, is one request",
  ignore: Deno.build.os === "windows",
  async fn() {
    const process = await stop("SIGINT", 1000);
    process.kill("SIGINT");
    assert.equal((await process.status).code, 99);
  },
});
