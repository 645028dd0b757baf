/** The steps that only users' policies take so far, through prefill on a real model. */
import assert from "node:assert/strict";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { compileKernels } from "../../src/engine/plugin_kernels.ts";
import { BUILT_IN_POLICIES } from "../../src/plugins/built_in.ts";
import type { LayerContext } from "../../src/policy/context.ts";
import { evaluatePlugin } from "../../src/policy/loading/evaluate_plugin.ts";
import {
  attention,
  clamp,
  definePolicy,
  type HostRows,
  keyNorm,
  linear,
  normalise,
  onHost,
  plus,
  pool,
  positive,
  protect,
  type QueryStatistics,
  recency,
  type Score,
  times,
  wgsl,
} from "../../src/policy/mod.ts";
import { PolicyRegistry } from "../../src/policy/registry.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { bundled, pluginTest } from "../support/plugins.ts";
import { openReferenceModel, referenceForward } from "../support/reference_forward.ts";
import { observedModel, TestRun } from "../support/scheduling.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

const LAYERS = 3;
const MODEL: TinyModelOptions = { architecture: "llama", seed: 21, layers: LAYERS };
const { model } = await observedModel(MODEL, { contextLength: 400 });
const { kvHeadCount, queryHeadCount, headSize } = model.config;
const PROMPT = randomPrompt(seededRandom(4), 150);
const reference = referenceForward(
  await withFile(tinyGguf(MODEL), openReferenceModel),
  PROMPT,
);

/** Runs one request for each score, all at once. */
async function run(scores: readonly Score[], changes: Partial<GenerationRequest> = {}, budget = 40) {
  const policies = scores.map((score, i) =>
    definePolicy({ name: `p${i}`, description: "A score", score: () => score })
  );
  const run = new TestRun(model, undefined, new PolicyRegistry([...BUILT_IN_POLICIES, ...policies]));
  for (const { name } of policies) {
    run.add(request(PROMPT, { topLogprobs: 1, kvCache: { policy: name, budget }, ...changes }));
  }
  const { outcomes, stats } = await run.end();
  assert.equal(model.pool.usedBlocks, 0);
  return { outcomes, stats, logged: run.logged };
}

/** Policies that keep the same rows go on with the same tokens, of the same probabilities to rounding. */
async function assertSame(...scores: Score[]) {
  const { outcomes, logged } = await run(scores);
  assert.deepEqual(logged, []);
  for (const outcome of outcomes) {
    assert.deepEqual(outcome.kvCache!.rowsPerLayer, Array(LAYERS).fill(40));
    assert.deepEqual(outcome.ids, outcomes[0].ids);
    outcome.tokens.forEach(({ logprob }, i) => assert.ok(Math.abs(logprob! - outcomes[0].tokens[i].logprob!) < 1e-4));
  }
}

const norms = ({ keys }: HostRows, { scoredRows, promptLength }: LayerContext) =>
  Float32Array.from({ length: kvHeadCount * scoredRows }, (_, i) => {
    const start = (Math.floor(i / scoredRows) * promptLength + i % scoredRows) * headSize;
    return 1 / (1 + Math.hypot(...keys!.subarray(start, start + headSize)));
  });

pluginTest("the same score computed by a step, on the host and by WGSL keeps the same rows", async () => {
  const code = `
fn score(row: u32) -> f32 {
  var squares: f32 = 0.0;
  for (var i: u32 = 0u; i < head_size() / 4u; i++) { squares += dot(key4(row, i), key4(row, i)); }
  return 1.0 / (1.0 + sqrt(squares));
}`;
  const kernel = wgsl({ window: 8, code });
  assert.equal(await model.compressor.compile(kernel), null);
  await assertSame([keyNorm({ window: 8 })], [onHost({ window: 8, needs: ["keys"], score: norms })], [kernel]);
});

pluginTest("onHost() is given the attention of the window as attention() sums it, and the values", async () => {
  const size = (values: Float32Array) => values.reduce((sum, value) => sum + Math.abs(value), 0);
  await assertSame(
    [attention({ window: 8 })],
    [onHost({
      window: 8,
      needs: ["attention", "values"],
      score({ attention, values }, { layer }) {
        assert.equal(attention!.length, kvHeadCount * (PROMPT.length - 8));
        const expected = reference.layers[layer].values.reduce(
          (sum, row) => sum + row.reduce((a, b) => a + Math.abs(b), 0),
          0,
        );
        assert.ok(Math.abs(size(values!) / expected - 1) < 1e-3);
        return attention!;
      },
    })],
  );
});

pluginTest(
  "linear() is told the mean of the queries before rotation, and scores as a kernel of the same formula does",
  async () => {
    const seen: QueryStatistics[] = [];
    const vector = (i: number) => Math.sin(i);
    const weight = (i: number) => Math.cos(i) ** 2;
    const ownLinear = linear({
      window: 8,
      coefficients(queries, { layer, rotary }) {
        seen[layer] = queries;
        assert.equal(rotary.frequencies.length, headSize / 2);
        return {
          vectors: Array.from({ length: kvHeadCount * headSize }, (_, i) => vector(i)),
          magnitudes: Array.from({ length: kvHeadCount * headSize / 2 }, (_, i) => weight(i)),
        };
      },
    });
    const { frequencies, pairing } = model.compressor.options.rotary!;
    const pairOf = (pair: number) => pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + headSize / 2];
    const sameOnHost = onHost({
      window: 8,
      needs: ["keys"],
      score: ({ keys }, { scoredRows, promptLength }) =>
        Array.from({ length: kvHeadCount * scoredRows }, (_, at) => {
          const head = Math.floor(at / scoredRows);
          const key = keys!.subarray((head * promptLength + at % scoredRows) * headSize).subarray(0, headSize);
          let score = 0;
          key.forEach((element, i) => score += element * vector(head * headSize + i));
          for (let pair = 0; pair < headSize / 2; pair++) {
            score += weight(head * headSize / 2 + pair) * Math.hypot(...pairOf(pair).map((i) => key[i]));
          }
          return Math.exp(score);
        }),
    });
    await assertSame([sameOnHost], [ownLinear, positive()], [ownLinear, normalise({ by: "softmax" })]);

    seen.forEach(({ mean, meanMagnitude }, layer) => {
      const { queries } = reference.layers[layer];
      for (let head = 0; head < queryHeadCount; head++) {
        for (let pair = 0; pair < headSize / 2; pair++) {
          const expected = [0, 0, 0];
          queries.forEach((row, position) => {
            const [a, b] = pairOf(pair).map((i) => row[head * headSize + i]);
            const [cosine, sine] = [Math.cos(position * frequencies[pair]), Math.sin(position * frequencies[pair])];
            expected[0] += (a * cosine + b * sine) / PROMPT.length;
            expected[1] += (b * cosine - a * sine) / PROMPT.length;
            expected[2] += Math.hypot(a, b) / PROMPT.length;
          });
          const [first, second] = pairOf(pair).map((i) => mean[head * headSize + i]);
          const actual = [first, second, meanMagnitude[head * headSize / 2 + pair]];
          actual.forEach((value, i) =>
            assert.ok(Math.abs(value - expected[i]) < 2e-3, `layer ${layer}: ${actual}, expected ${expected}`)
          );
        }
      }
    });
  },
);

pluginTest("plus() and times() combine scores: with nothing, with themselves, and within each other", async () => {
  const look: Score = [attention({ window: 8 }), pool({ width: 7, by: "average" })];
  const late: Score = [recency({ window: 8 })];
  await assertSame(
    look,
    [
      ...late,
      times({ score: [recency({ window: 8 }), clamp({ least: 0, most: 0 })] }),
      plus({ score: look, weight: 3 }),
    ] as Score,
    [...look, times({ score: look })],
    [...look, plus({ score: [keyNorm({ window: 8 })], weight: 0 })],
  );
  const { outcomes: [both, norm] } = await run([[...look, plus({ score: [keyNorm({ window: 8 })], weight: 1e6 })], [
    keyNorm({ window: 8 }),
  ]]);
  assert.deepEqual(both.ids, norm.ids);
});

pluginTest(
  "protect() keeps rows in every layer, whatever the allocator gives, and counts them within the budget",
  async () => {
    const ranges = [{ start: 3, end: 20 }, { start: 18, end: 24 }, { start: 149, end: 200 }];
    const kept = (score: Score, allocator: string) =>
      definePolicy({ name: "kept", description: "Kept", score: () => score, allocator });
    // The protected rows rank first: with a budget for no more, protecting them is keeping nothing else.
    const only: Score = [onHost({
      window: 8,
      needs: [],
      score: (_rows, { scoredRows }) =>
        Array.from(
          { length: kvHeadCount * scoredRows },
          (_, i) => (i % scoredRows >= 3 && i % scoredRows < 24) ? 1 : 0,
        ),
    })];
    const { outcomes: [expected, actual] } = await run([only, [keyNorm({ window: 8 }), protect(ranges)]], {}, 8 + 21);
    assert.deepEqual(actual.ids, expected.ids);

    for (const allocator of ["dynamickv", "pyramidkv", "lava", "adakv"]) {
      const registry = new PolicyRegistry([
        ...BUILT_IN_POLICIES,
        kept([attention({ window: 8 }), protect(ranges)], allocator),
      ]);
      const testRun = new TestRun(model, undefined, registry);
      testRun.add(request(PROMPT, { kvCache: { policy: "kept", budget: 40, options: {} } }));
      const { outcomes: [{ kvCache }] } = await testRun.end();
      assert.deepEqual(testRun.logged, []);
      const rows = kvCache!.rowsPerHead?.flat() ?? kvCache!.rowsPerLayer;
      for (const count of rows) {
        assert.ok(count >= 8 + 21, `${allocator}: ${rows}`);
      }
      const sum = kvCache!.rowsPerLayer.reduce((a, b) => a + b);
      assert.ok(sum <= LAYERS * 40, `${allocator}: ${sum}`);
    }
  },
);

pluginTest("what fails on the host in the middle of a prompt is told, and costs other sequences nothing", async () => {
  const failing = (what: (layer: number) => ArrayLike<number>): Score => [onHost({
    window: 8,
    needs: [],
    score: (_rows, { layer, scoredRows }) => layer < 2 ? new Float32Array(kvHeadCount * scoredRows) : what(layer),
  })];
  const { outcomes, logged, stats } = await run([
    [attention({ window: 8 })],
    failing(() => {
      throw new Error("Out of luck");
    }),
    failing(() => [1, 2]),
    [linear({ window: 8, coefficients: () => ({ vectors: [NaN] }) }), positive()],
  ]);
  const [alone] = (await run([[attention({ window: 8 })]])).outcomes;
  assert.deepEqual(outcomes[0].ids, alone.ids);
  assert.equal(logged.length, 3);
  assert.deepEqual(stats.policyFallbacks, { p1: 1, p2: 1, p3: 1 });
  assert.match(outcomes[1].kvCache!.fallback!, /^Out of luck$/);
  assert.match(outcomes[2].kvCache!.fallback!, /must be 284 numbers, 142 for each KV head, but is 2$/);
  assert.match(outcomes[3].kvCache!.fallback!, /must have \d+ elements of vectors, .* but has 1$/);
  for (const { kvCache, ids } of outcomes) {
    assert.deepEqual(kvCache!.rowsPerLayer, Array(LAYERS).fill(40));
    assert.equal(ids.length, 8);
  }
});

pluginTest(
  "a sequence that is aborted while the host computes its scores gives all back, and others go on",
  async () => {
    const slow: Score = [onHost({ window: 8, needs: ["keys"], score: norms })];
    const policy = definePolicy({ name: "p", description: "P", score: () => slow });
    const testRun = new TestRun(model, undefined, new PolicyRegistry([...BUILT_IN_POLICIES, policy]));
    const aborted = testRun.add(request(PROMPT, { kvCache: { policy: "p", budget: 40 } }));
    testRun.add(request(PROMPT, { kvCache: { policy: "p", budget: 40 } }));
    setTimeout(() => testRun.loop.abort(aborted), 5);
    const { outcomes } = await testRun.end();
    assert.deepEqual(outcomes[0].last, { type: "finished", reason: "aborted", completionTokens: 0 });
    assert.equal(outcomes[1].ids.length, 8);
    assert.equal(model.pool.usedBlocks, 0);
  },
);

pluginTest(
  "scores of WGSL that are no numbers of at least 0 are counted and logged once; code that was not compiled is refused",
  async () => {
    const kernel = wgsl({ window: 8, code: "f32(position(row)) - uniforms.least", uniforms: { least: 10 } });
    assert.equal(await model.compressor.compile(kernel), null);
    const policies = [
      definePolicy({ name: "late", description: "Late", score: () => [kernel] }),
      definePolicy({ name: "other", description: "Other", score: () => [wgsl({ window: 8, code: "1.0" })] }),
    ];
    const registry = new PolicyRegistry([...BUILT_IN_POLICIES, ...policies]);
    registry.runnable = (score) => model.compressor.runnable(score);
    const testRun = new TestRun(model, undefined, registry);
    for (const policy of ["late", "late", "other"]) testRun.add(request(PROMPT, { kvCache: { policy, budget: 40 } }));
    const { stats, outcomes } = await testRun.end();
    assert.deepEqual(stats.unusableScores, { late: 2 * LAYERS * kvHeadCount * 10 });
    assert.equal(testRun.logged.length, 2);
    assert.match(testRun.logged[0], /policy other failed, .*not the one that was compiled when the plugin was loaded/);
    assert.match(
      testRun.logged[1],
      new RegExp(`^KV cache policy late: ${LAYERS * kvHeadCount * 10} scores of a prompt were no numbers`),
    );
    assert.match(outcomes[2].kvCache!.fallback!, /uniforms can tell it of/);
  },
);

pluginTest("WGSL that cannot be compiled is refused when it is loaded, at its place in the user's file", async () => {
  const refusalOf = async (code: string) => {
    const text = `import { definePolicy, wgsl } from "ebb/policy";
export default definePolicy({
  name: "bad",
  description: "Bad",
  score: () => [wgsl({
    window: 8,
    code: ${code},
  })],
});`;
    const files = (await bundled(text)).map(evaluatePlugin);
    const error = await compileKernels((step) => model.compressor.compile(step), model.config, files).then(
      () => null,
      (error) => error as Error,
    );
    return error?.message.replace(/^.*\/(?=mine)/, "");
  };
  assert.equal(await refusalOf('"f32(row)"'), undefined);
  assert.match(
    (await refusalOf('"f32(rov)"'))!,
    /^mine\.ts:7:16: parsing error: no definition in scope for identifier: `rov`$/,
  );
  const body = "`\nfn score(row: u32) -> f32 {\n  let first = key(row);\n  return first;\n}`";
  assert.match(
    (await refusalOf(body))!,
    /^mine\.ts:9:1: .*Function \[\d+\] 'score' is invalid; .*Requires 2 arguments, but 1 are/,
  );
});
