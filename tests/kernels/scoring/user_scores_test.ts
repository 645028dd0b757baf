import assert from "node:assert/strict";
import { userScores, userScoresDispatch, type UserScoresVariant } from "../../../src/kernels/scoring/user_scores.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

const [kvHeadCount, queryHeadCount, headSize, start, length, scored, capacity] = [2, 6, 24, 3, 80, 72, 90];
const [firstQuery, window] = [5, 8];

async function run(element: "f16" | "f32", code: string, uniforms: Record<string, number> = {}) {
  const gpu = await testGpu();
  const random = seededRandom(2);
  const [keys, values] = [0, 1].map(() => kvArray(element, normalValues(random, kvHeadCount * capacity * headSize)));
  const queries = normalValues(random, 20 * queryHeadCount * headSize);
  const variant: UserScoresVariant = {
    element,
    headSize,
    kvHeadCount,
    queryHeadCount,
    code,
    uniforms: Object.keys(uniforms),
  };
  const shape = {
    kvHeadCount,
    start,
    length,
    scored,
    capacity,
    firstQuery,
    window,
    counter: 1,
    uniforms: Object.values(uniforms),
  };
  const scores = new Float32Array(kvHeadCount * capacity).fill(-7);
  const results = await runKernel(gpu, userScores(variant), userScoresDispatch(shape), [
    keys,
    values,
    queries,
    scores,
    new Uint32Array(4),
  ]);
  return {
    scores: new Float32Array(results[3]),
    unusable: new Uint32Array(results[4])[1],
    key: (head: number, row: number, i: number) =>
      readKv(element, keys.buffer)[(head * capacity + start + row) * headSize + i],
    value: (head: number, row: number, i: number) =>
      readKv(element, values.buffer)[(head * capacity + start + row) * headSize + i],
    query: (w: number, head: number, i: number) => queries[((firstQuery + w) * queryHeadCount + head) * headSize + i],
  };
}

Deno.test("userScores() runs an expression in row, and counts what is no number of at least 0 as 0", async () => {
  const { scores, unusable } = await run("f32", "f32(position(row)) - uniforms.least", { most: 3, least: 10 });
  for (let head = 0; head < kvHeadCount; head++) {
    for (let row = 0; row < scored; row++) assert.equal(scores[head * capacity + row], Math.max(0, row - 10));
    assert.equal(scores[head * capacity + scored], -7);
  }
  assert.equal(unusable, 2 * 10);
  const infinite = await run("f32", "1.0 / f32(row / 2u * 2u)");
  assert.deepEqual([...infinite.scores.subarray(0, 3)], [0, 0, 0.5]);
  assert.equal(infinite.unusable, 2 * 2);
  const nan = await run("f32", "sqrt(f32(row) - 4.0) * uniforms.one", { one: 1 });
  assert.deepEqual([...nan.scores.subarray(2, 6)], [0, 0, 0, 1]);
  assert.equal(nan.unusable, 2 * 4);
});

for (const element of ["f16", "f32"] as const) {
  Deno.test(`userScores() gives code the elements of ${element} keys and values, and the queries of the window`, async () => {
    const { scores, key, value, query } = await run(
      element,
      `
fn score(row: u32) -> f32 {
  var sum: f32 = 0.0;
  for (var i: u32 = 0u; i < head_size(); i++) {
    for (var g: u32 = 0u; g < group_size(); g++) { sum += key(row, i) * window_query(window_size() - 1u, g, i); }
    sum += value(row, i) * f32(kv_head() + 1u);
  }
  for (var i: u32 = 0u; i < head_size() / 4u; i++) { sum += dot(key4(row, i), value4(row, i)); }
  return abs(sum) / f32(row_count());
}`,
    );
    for (let head = 0; head < kvHeadCount; head++) {
      for (const row of [0, 1, 35, scored - 1]) {
        let sum = 0;
        for (let i = 0; i < headSize; i++) {
          for (let g = 0; g < 3; g++) sum += key(head, row, i) * query(window - 1, 3 * head + g, i);
          sum += value(head, row, i) * (head + 1) + key(head, row, i) * value(head, row, i);
        }
        const expected = Math.abs(sum) / length;
        const actual = scores[head * capacity + row];
        assert.ok(Math.abs(actual - expected) < 1e-5, `head ${head}, row ${row}: ${actual}, expected ${expected}`);
      }
    }
  });
}
