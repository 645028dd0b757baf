import assert from "node:assert/strict";
import {
  comparisonProgress,
  progressDisplay,
  readingProgress,
  requestProgress,
  transferProgress,
} from "../../src/cli/progress.ts";
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
  assert.deepEqual(show(1, [[0, tensors(1)]]), ["\r\x1b[K"]);
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
  const show = requestProgress({ write: (text) => written.push(text), columns: () => undefined, now: () => now });
  for (const [at, done] of [[11_000, 1], [12_000, 2], [31_000, 3], [400_000, 40]]) {
    now = at;
    show(done, 40);
  }
  assert.deepEqual(written, [
    "1 of 40 requests answered, 7 min left\n",
    "3 of 40 requests answered, 7 min left\n",
    "40 of 40 requests answered, 0 s left\n",
  ]);
});

Deno.test("Transfers show their pace since they went on, and the time that is left", () => {
  const written: string[] = [];
  let now = 0;
  const output = { write: (text: string) => written.push(text), columns: () => 80, now: () => now };
  const show = transferProgress("Pulling hf:o/r", output);
  // Half was there already; a quarter comes in two seconds.
  for (const [at, done] of [[9000, 2048], [11_000, 3072], [13_000, 4096]]) {
    now = at;
    show(done, 4096);
  }
  assert.deepEqual(written, [
    "\r\x1b[KPulling hf:o/r: 2.0 KiB of 4.0 KiB",
    "\r\x1b[KPulling hf:o/r: 3.0 KiB of 4.0 KiB, 512 B/s, 2 s left",
    "\r\x1b[KPulling hf:o/r: 4.0 KiB of 4.0 KiB, 512 B/s\n",
  ]);
});

Deno.test("A comparison is shown within its questions, and the time that is left once an answer tells", () => {
  let now = 0;
  const written: string[] = [];
  const output = { write: (text: string) => written.push(text), columns: () => undefined, now: () => now };
  const { answered: show } = comparisonProgress(output);
  const all = { allQuestions: 4, allAnswers: 40 };
  show({ questions: 0, answers: 0, ...all });
  now = 10_000;
  show({ questions: 0, answers: 8, ...all });
  // Within the interval of a log.
  now = 10_100;
  show({ questions: 1, answers: 10, ...all });
  now = 40_000;
  show({ questions: 4, answers: 40, ...all });
  assert.deepEqual(written, [
    "0 of 4 questions asked (0 of 40 answers)\n",
    // 10 s for 8 answers leave 40 s for 32.
    "0 of 4 questions asked (8 of 40 answers), 40 s left\n",
    "4 of 4 questions asked (40 of 40 answers), 0 s left\n",
  ]);
});

/** Reads prompts of 4,000 tokens, to a point at given milliseconds (null: to the end); returns what was written. */
function read(columns: number | undefined, states: readonly (readonly [number, number | null])[]): string[] {
  const written: string[] = [];
  let now = 0;
  const show = readingProgress({ write: (text) => written.push(text), columns: () => columns, now: () => now });
  for (const [at, done] of states) {
    now = at;
    show(done === null ? null : { done, total: 4000, read: done });
  }
  return written;
}

Deno.test("A long prompt shows on a terminal how far it is and how fast, and leaves nothing behind", () => {
  assert.deepEqual(read(80, [[0, 0], [500, 100], [2000, 1000.5], [4000, 3000], [5000, 4000], [5001, null]]), [
    "\r\x1b[KReading the prompt: 1,000 of 4,000 tokens, 500 tokens/s",
    "\r\x1b[KReading the prompt: 3,000 of 4,000 tokens, 750 tokens/s",
    "\r\x1b[K",
  ]);
});

Deno.test("A prompt that is soon read is not worth a word, however long the one before took", () => {
  assert.deepEqual(read(80, [[0, 0], [999, 3999], [1000, null], [60_000, 0], [60_500, 2000], [60_600, null]]), []);
});

Deno.test("A log has a plain line of a long prompt every few seconds", () => {
  assert.deepEqual(read(undefined, [[0, 0], [2000, 1000], [4000, 2000], [7000, 3500], [8000, 4000], [8001, null]]), [
    "Reading the prompt: 1,000 of 4,000 tokens, 500 tokens/s\n",
    "Reading the prompt: 3,500 of 4,000 tokens, 500 tokens/s\n",
  ]);
});

Deno.test("A comparison shows how far it is with a long prompt, until an answer tells more", () => {
  let now = 0;
  const written: string[] = [];
  const display = comparisonProgress({ write: (text) => written.push(text), columns: () => 200, now: () => now });
  const all = { allQuestions: 1, allAnswers: 2 };
  // While the time is estimated, nothing has been asked.
  display.reading({ done: 0, total: 1000, read: 0 });
  now = 2000;
  display.reading({ done: 500, total: 1000, read: 500 });
  display.reading(null);
  assert.equal(written.length, 0);
  display.answered({ questions: 0, answers: 0, ...all });
  display.reading({ done: 0, total: 4000, read: 0 });
  now = 4000;
  display.reading({ done: 1000, total: 4000, read: 1000 });
  display.reading(null);
  now = 10_000;
  display.answered({ questions: 0, answers: 1, ...all });
  now = 11_000;
  display.answered({ questions: 1, answers: 2, ...all });
  assert.deepEqual(written.map((line) => line.replace("\r\x1b[K", "")), [
    "0 of 1 questions asked (0 of 2 answers)",
    "0 of 1 questions asked (0 of 2 answers). Reading the prompt: 1,000 of 4,000 tokens, 500 tokens/s",
    "0 of 1 questions asked (1 of 2 answers), 10 s left",
    "1 of 1 questions asked (2 of 2 answers), 0 s left\n",
  ]);
});
