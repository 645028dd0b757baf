/** @file Threads that share jobs: every piece of every job is done, once, however the machine lets them wait. */
import assert from "node:assert/strict";
import { seededRandom } from "../../fixtures/random.ts";
import { Crew, type Int8Matrix, type OtherThreads } from "../../src/cpu/kernels/crew.ts";
import { CREW_TEXT } from "../../src/cpu/kernels/crew_module.ts";
import { ATTENTION_RECORD, ATTENTION_RECORD_WORDS } from "../../src/cpu/kernels/row_attention.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);
/** More threads than most machines have cores, so that some are always held up between two instructions. */
const OTHERS = 5;

const HEAD_SIZE = 8;

/** Records of attention over one row each: the output is that row's values. */
function attentionOfOneRow(count: number) {
  const records = runtime.bytes(count * ATTENTION_RECORD_WORDS * 4);
  const words = new Int32Array(runtime.memory.buffer, records.address, count * ATTENTION_RECORD_WORDS);
  const row = runtime.floats(HEAD_SIZE);
  row.values.forEach((_, i) => row.values[i] = i + 1);
  const outputs = runtime.floats(count * HEAD_SIZE);
  for (let i = 0; i < count; i++) {
    const at = i * ATTENTION_RECORD_WORDS;
    words[at + ATTENTION_RECORD.queries] = row.address;
    words[at + ATTENTION_RECORD.keys] = row.address;
    words[at + ATTENTION_RECORD.values] = row.address;
    words[at + ATTENTION_RECORD.rows] = 1;
    words[at + ATTENTION_RECORD.scores] = runtime.floats(4).address;
    words[at + ATTENTION_RECORD.output] = outputs.address + i * HEAD_SIZE * 4;
  }
  return { records: records.address, outputs: outputs.values };
}

/** Jobs of different kinds and sizes in quick succession, each looked at. */
function runJobs(crew: Crew, count: number): void {
  const random = seededRandom(1);
  const [columns, mostOutputs, mostRecords] = [16, 516, 40];
  const ones = runtime.bytes(mostOutputs * columns);
  ones.values.fill(1);
  const scales = runtime.floats(mostOutputs);
  scales.values.fill(1);
  const x = runtime.bytes(columns * 2);
  new Int16Array(runtime.memory.buffer, x.address, columns).fill(1);
  const y = runtime.floats(mostOutputs);
  const attention = attentionOfOneRow(mostRecords);
  for (let job = 0; job < count; job++) {
    if (random() < 0.5) {
      const outputs = 4 * (1 + Math.floor(random() * mostOutputs / 4));
      const matrix: Int8Matrix = { weights: ones.address, scales: scales.address, group: columns, outputs, columns };
      y.values.fill(0);
      crew.multiply(matrix, 1, x.address, scales.address, y.address, outputs * 4);
      y.values.forEach((value, i) => {
        if (value !== (i < outputs ? columns : 0)) assert.fail(`job ${job}: output ${i} of ${outputs} is ${value}`);
      });
    } else {
      const count = 1 + Math.floor(random() * mostRecords);
      attention.outputs.fill(0);
      crew.attend(attention.records, count, 1, HEAD_SIZE);
      attention.outputs.forEach((value, i) => {
        const expected = i < count * HEAD_SIZE ? i % HEAD_SIZE + 1 : 0;
        if (value !== expected) assert.fail(`job ${job}: element ${i} of ${count} records is ${value}`);
      });
    }
  }
}

for (const when of ["while threads join", "once all have joined"]) {
  Deno.test(`jobs of different kinds and sizes in quick succession are done, each whole, ${when}`, async () => {
    const crew = await Crew.start(runtime, threadsBeside(OTHERS));
    if (when === "once all have joined") await allJoined(crew, OTHERS);
    runJobs(crew, 2_500);
    crew.close();
  });
}

Deno.test("threads that start when the crew is closed end", async () => {
  const workers: Worker[] = [];
  const begin: OtherThreads["begin"] = (start) => {
    const worker = new Worker(new URL("../support/watched_crew_worker.ts", import.meta.url), { type: "module" });
    worker.postMessage(start);
    workers.push(worker);
  };
  const crew = await Crew.start(runtime, { count: OTHERS, begin });
  const ends = workers.map((worker) => new Promise((resolve) => worker.onmessage = resolve));
  crew.close();
  await Promise.all(ends);
  assert.equal(workers.length, OTHERS);
  for (const worker of workers) worker.terminate();
});

// A thread may be held up between any two instructions, which no test can make it be at the wrong ones.
Deno.test("whether there is a piece is told by one access to memory, whatever the next job is by then", () => {
  const claim = /\(loop \$pieces[^]*?\(return\)/.exec(CREW_TEXT)![0];
  const accesses = Array.from(claim.matchAll(/\.(atomic\.[\w.]+|load|store)\b/g), ([, access]) => access);
  assert.deepEqual(accesses, ["atomic.rmw.sub"]);
});
