/** @file Processes with a time limit. */
import assert from "node:assert/strict";
import { runProcess } from "../../../bench/gpu/process.ts";

const evaluate = (code: string, seconds: number, signal = new AbortController().signal) => {
  const lines: string[] = [];
  const outcome = runProcess({
    command: Deno.execPath(),
    args: ["eval", code],
    seconds,
    signal,
    onLine: (line) => lines.push(line),
  });
  return { lines, outcome };
};

Deno.test("runProcess() hands on lines, the last one too", async () => {
  const { lines, outcome } = evaluate(
    'console.log("one"); Deno.stdout.writeSync(new TextEncoder().encode("two"));',
    60,
  );
  assert.deepEqual(await outcome, { status: "done" });
  assert.deepEqual(lines, ["one", "two"]);
});

Deno.test("runProcess() ends what does not listen when its time is up, and keeps what it had said", async () => {
  const { lines, outcome } = evaluate('console.log("before"); for (;;);', 3);
  assert.deepEqual(await outcome, { status: "out of time", error: "It was ended after 3 s" });
  assert.deepEqual(lines, ["before"]);
});

Deno.test("runProcess() tells an exit code with the end of standard error, and a signal by its name", async () => {
  const failed = await evaluate('console.error("no adapter"); Deno.exit(3)', 60).outcome;
  assert.deepEqual(failed, { status: "failed", error: "It ended with exit code 3: no adapter" });
  const crashed = await evaluate('Deno.kill(Deno.pid, "SIGKILL"); for (;;);', 60).outcome;
  assert.equal(crashed.status, "failed");
  assert.match(crashed.error!, /SIGKILL/);
});

Deno.test("runProcess() tells what cannot be started, and starts nothing once it is to stop", async () => {
  const { signal } = new AbortController();
  const missing = await runProcess({ command: "/no/such/command", args: [], seconds: 9, signal, onLine: () => {} });
  assert.equal(missing.status, "failed");
  assert.match(missing.error!, /\/no\/such\/command cannot be started/);
  assert.equal((await evaluate("", 60, AbortSignal.abort()).outcome).status, "interrupted");
});
