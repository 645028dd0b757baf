import assert from "node:assert/strict";
import { progressDisplay, questionProgress, transferProgress } from "../../src/cli/progress.ts";
import type { LoadProgress } from "../../src/contract/engine.ts";

/** Shows states at given milliseconds; returns what was written. */
Deno.test("A terminal that says that it is 0 wide is shown whole lines", () => {
  const [line] = show(0, [[0, { stage: "tensors", done: 1, total: 1, bytes: 1024, totalBytes: 1024 }]]);
  assert.equal(line, "\r\x1b[KLoading tensors: 1 of 1 (1.0 KiB of 1.0 KiB)\n");
});

function show(columns: number | undefined, states: readonly (readonly [number, LoadProgress])[]): string[] {
  const written: string[] = [];
  let now = 0;
  const display = progressDisplay({ write: (text) => written.push(text), columns: () => columns, now: () => now });
  for (const [at, state] of states) {
    now = at;
    display(state);
  }
  return written;
}

const tensors = (done: number): LoadProgress => ({
  stage: "tensors",
  done,
  total: 4,
  bytes: done * 1024,
  totalBytes: 4096,
});
const shaders = (done: number): LoadProgress => ({ stage: "shaders", done, total: 2 });

Deno.test("A terminal's line is rewritten and ends with the stage", () => {
  assert.deepEqual(show(80, [[0, tensors(1)], [500, tensors(2)], [1000, tensors(4)]]), [
    "\r\x1b[KLoading tensors: 1 of 4 (1.0 KiB of 4.0 KiB)",
    "\r\x1b[KLoading tensors: 2 of 4 (2.0 KiB of 4.0 KiB)",
    "\r\x1b[KLoading tensors: 4 of 4 (4.0 KiB of 4.0 KiB)\n",
  ]);
});

Deno.test("A narrow terminal gets a line that does not wrap", () => {
  assert.deepEqual(show(20, [[0, tensors(1)]]), ["\r\x1b[KLoading tensors: 1 "]);
});

Deno.test("A terminal is not flooded", () => {
  assert.equal(show(80, [[0, tensors(1)], [1, tensors(2)], [2, tensors(3)]]).length, 1);
});

Deno.test("A log gets plain lines, few of them, and always each stage's end", () => {
  const states = [[0, tensors(1)], [1000, tensors(2)], [2000, tensors(4)], [2001, shaders(1)], [
    2002,
    shaders(2),
  ]] as const;
  assert.deepEqual(show(undefined, states), [
    "Loading tensors: 1 of 4 (1.0 KiB of 4.0 KiB)\n",
    "Loading tensors: 4 of 4 (4.0 KiB of 4.0 KiB)\n",
    "Compiling shaders: 1 of 2\n",
    "Compiling shaders: 2 of 2\n",
  ]);
});

Deno.test("Questions show the time that the others will take at the same pace", () => {
  const written: string[] = [];
  let now = 1000;
  const show = questionProgress({ write: (text) => written.push(text), columns: () => undefined, now: () => now });
  for (const [at, done] of [[11_000, 1], [12_000, 2], [31_000, 3], [400_000, 40]]) {
    now = at;
    show(done, 40);
  }
  assert.deepEqual(written, [
    "1 of 40 questions asked, 7 min left\n",
    "3 of 40 questions asked, 7 min left\n",
    "40 of 40 questions asked, 0 s left\n",
  ]);
});

Deno.test("Transfers show their pace since they went on, and the time that is left", () => {
  const written: string[] = [];
  let now = 0;
  const output = { write: (text: string) => written.push(text), columns: () => 80, now: () => now };
  const show = transferProgress("Pulling hf:o/r", output);
  // Half was there already; a quarter comes in two seconds.
  for (const [at, done] of [[0, 2048], [2000, 3072], [4000, 4096]]) {
    now = at;
    show(done, 4096);
  }
  assert.deepEqual(written, [
    "\r\x1b[KPulling hf:o/r: 2.0 KiB of 4.0 KiB",
    "\r\x1b[KPulling hf:o/r: 3.0 KiB of 4.0 KiB, 512 B/s, 2 s left",
    "\r\x1b[KPulling hf:o/r: 4.0 KiB of 4.0 KiB, 512 B/s\n",
  ]);
});
