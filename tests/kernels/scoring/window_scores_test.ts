import assert from "node:assert/strict";
import { MAX_WINDOW } from "../../../src/scores/limits.ts";
import { Recorder } from "../../../src/gpu/recorder.ts";
import type { KvElement } from "../../../src/kernels/kv_element.ts";
import {
  windowPartialsBytes,
  windowScores,
  windowScoresDispatches,
  windowStatisticsBytes,
} from "../../../src/kernels/scoring/window_scores.ts";
import { readBuffer, testGpu } from "../../../fixtures/gpu.ts";
import { type KvArray, kvArray } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { referenceWindowScores, type ScoredPrompt } from "../../support/scores.ts";

interface Case {
  readonly element: KvElement;
  readonly kvHeads: number;
  readonly group: number;
  readonly headSize: number;
  readonly prompts: readonly ScoredPrompt[];
}

/** Every prompt's scores, `[prompt][kvHead]`, from a scores buffer that was full of -1 before. */
async function runWindowScores(
  { element, kvHeads, group, headSize }: Case,
  prompts: readonly ScoredPrompt[],
  capacity: number,
  keys: KvArray,
  windowQueries: Float32Array<ArrayBuffer>,
): Promise<Float32Array[][]> {
  const gpu = await testGpu();
  const queryHeads = kvHeads * group;
  const buffers = {
    keys: gpu.upload("keys", keys),
    queries: gpu.upload("queries", windowQueries),
    partials: gpu.createBuffer("partials", windowPartialsBytes(kvHeads, queryHeads, capacity)),
    statistics: gpu.createBuffer("statistics", windowStatisticsBytes(kvHeads, queryHeads)),
    scores: gpu.upload("scores", new Float32Array(kvHeads * capacity)),
  };
  const kernels = windowScores(element, headSize);
  const bind = (kernel: typeof kernels.combine, names: (keyof typeof buffers)[]) => {
    const pipeline = gpu.pipeline(kernel);
    return { pipeline, group: gpu.bind(pipeline, names.map((name) => buffers[name])) };
  };
  const partials = bind(kernels.partials, ["keys", "queries", "partials"]);
  const combine = bind(kernels.combine, ["partials", "statistics"]);
  const scores = bind(kernels.scores, ["keys", "queries", "statistics", "scores"]);
  const results: Float32Array[][] = [];
  for (const prompt of prompts) {
    gpu.device.queue.writeBuffer(buffers.scores, 0, new Float32Array(kvHeads * capacity).fill(-1));
    const firstQuery = prompt.segmentIndex * MAX_WINDOW;
    const shape = { kvHeadCount: kvHeads, queryHeadCount: queryHeads, headSize, capacity, ...prompt, firstQuery };
    const dispatches = windowScoresDispatches(shape);
    const recorder = new Recorder(gpu);
    recorder.dispatch(partials, dispatches.partials);
    recorder.dispatch(combine, dispatches.combine);
    recorder.dispatch(scores, dispatches.scores);
    gpu.device.pushErrorScope("validation");
    recorder.submit();
    const error = await gpu.device.popErrorScope();
    if (error) throw new Error(error.message);
    const all = new Float32Array(await readBuffer(gpu, buffers.scores));
    results.push(
      Array.from({ length: kvHeads }, (_, head) => all.subarray(head * capacity, (head + 1) * capacity)),
    );
  }
  for (const buffer of Object.values(buffers)) gpu.destroyBuffer(buffer);
  return results;
}

/** Random rows and queries for the prompts of a case, NaN everywhere else. */
function randomPack(
  { element, kvHeads, group, headSize, prompts }: Case,
  random: () => number,
): { capacity: number; keys: KvArray; windowQueries: Float32Array<ArrayBuffer> } {
  const capacity = Math.max(...prompts.map(({ start, length }) => start + length)) + 3;
  const segments = Math.max(...prompts.map(({ segmentIndex }) => segmentIndex)) + 1;
  const keys = kvArray(element, new Float32Array(kvHeads * capacity * headSize).fill(NaN));
  const queryWidth = kvHeads * group * headSize;
  const windowQueries = new Float32Array(segments * MAX_WINDOW * queryWidth).fill(NaN);
  for (const { segmentIndex, start, length, window } of prompts) {
    for (let head = 0; head < kvHeads; head++) {
      keys.set(normalValues(random, length * headSize), (head * capacity + start) * headSize);
    }
    windowQueries.set(normalValues(random, window * queryWidth, 2), segmentIndex * MAX_WINDOW * queryWidth);
  }
  return { capacity, keys, windowQueries };
}

async function checkCase(spec: Case, seed: number): Promise<void> {
  const { capacity, keys, windowQueries } = randomPack(spec, seededRandom(seed));
  const dims = {
    kvHeadCount: spec.kvHeads,
    queryHeadCount: spec.kvHeads * spec.group,
    headSize: spec.headSize,
    capacity,
    maxWindow: MAX_WINDOW,
  };
  const results = await runWindowScores(spec, spec.prompts, capacity, keys, windowQueries);
  spec.prompts.forEach((prompt, index) => {
    const expected = referenceWindowScores(dims, prompt, keys, windowQueries);
    for (let head = 0; head < spec.kvHeads; head++) {
      for (let j = 0; j < capacity; j++) {
        const actual = results[index][head][j];
        if (j >= prompt.length - prompt.window) {
          assert.equal(actual, -1, `score ${j} of head ${head} is beyond the scored rows`);
          continue;
        }
        // A logit is off by at most headSize / 4 roundings of sum |q k| / sqrt(headSize), here below 30; exp() by
        // 3 + 2 |x| units in the last place, |x| below 30: both are relative errors of the score.
        const tolerance = (2e-5 + spec.headSize * 4e-7) * expected[head][j];
        assert.ok(
          Math.abs(actual - expected[head][j]) <= tolerance,
          `prompt ${index}, head ${head}, row ${j}: ${actual}, expected ${expected[head][j]}`,
        );
      }
    }
  });
}

const alone = (length: number, window: number, start = 0): ScoredPrompt[] => [
  { segmentIndex: 0, start, length, window },
];

const cases: Case[] = [
  { element: "f32", kvHeads: 1, group: 1, headSize: 8, prompts: alone(2, 1) },
  { element: "f32", kvHeads: 2, group: 1, headSize: 8, prompts: alone(9, 8) },
  { element: "f32", kvHeads: 3, group: 2, headSize: 24, prompts: alone(257, 8, 5) },
  { element: "f16", kvHeads: 2, group: 3, headSize: 24, prompts: alone(263, 1) },
  { element: "f16", kvHeads: 1, group: 7, headSize: 64, prompts: alone(100, 32, 31) },
  { element: "f32", kvHeads: 2, group: 2, headSize: 64, prompts: alone(128, 64) },
  { element: "f16", kvHeads: 2, group: 2, headSize: 128, prompts: alone(70, 8) },
  { element: "f32", kvHeads: 1, group: 3, headSize: 256, prompts: alone(40, 8) },
  { element: "f16", kvHeads: 1, group: 1, headSize: 256, prompts: alone(33, 1) },
  { element: "f16", kvHeads: 2, group: 1, headSize: 8, prompts: alone(3001, 8) },
  {
    element: "f32",
    kvHeads: 2,
    group: 2,
    headSize: 8,
    prompts: [
      { segmentIndex: 0, start: 2, length: 33, window: 32 },
      { segmentIndex: 2, start: 35, length: 300, window: 8 },
      { segmentIndex: 1, start: 400, length: 12, window: 1 },
    ],
  },
];

for (const [index, spec] of cases.entries()) {
  const { element, kvHeads, group, headSize, prompts } = spec;
  const lengths = prompts.map(({ length, window }) => `${length} rows under a window of ${window}`).join(", ");
  Deno.test(`windowScores() equals f64 softmax: ${element}, ${kvHeads} x ${group} heads of ${headSize}, ${lengths}`, () =>
    checkCase(spec, index + 1));
}

Deno.test("windowScores() neither overflows nor loses mass under extreme logits", async () => {
  const spec: Case = { element: "f32", kvHeads: 1, group: 1, headSize: 8, prompts: alone(300, 8) };
  const capacity = 300;
  const keys = new Float32Array(capacity * 8);
  // Row 7 takes everything; a row of the window that the first seven queries cannot see would take more.
  keys[7 * 8] = 200;
  keys[299 * 8] = 4000;
  const windowQueries = new Float32Array(MAX_WINDOW * 8);
  for (let i = 0; i < 8; i++) windowQueries[i * 8] = Math.sqrt(8);
  const [[scores]] = await runWindowScores(spec, spec.prompts, capacity, keys, windowQueries);
  for (let j = 0; j < 292; j++) assert.equal(scores[j], j === 7 ? 7 : 0);
});
