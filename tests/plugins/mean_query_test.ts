/** @file Expected Attention and TriAttention: what they compute of each layer against the published formulas, in f64. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import type { LayerContext, PolicyContext } from "../../src/policy/context.ts";
import type { QueryStatistics } from "../../src/policy/mod.ts";
import type { Linear } from "../../src/policy/steps/linear.ts";
import { linearScores } from "../../src/scores/row_formulas.ts";
import { findPolicy } from "../support/policies.ts";

const [KV_HEADS, GROUP, HEAD_SIZE, LENGTH] = [2, 3, 12, 90];
const PAIRS = HEAD_SIZE / 2;
const FREQUENCIES = Float64Array.from({ length: PAIRS }, (_, i) => 1000 ** (-i / PAIRS));

/** The two elements of a rotary pair. */
type Pairing = "adjacent" | "halves";
const places = (pairing: Pairing, pair: number) =>
  pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + PAIRS];

function rotated(head: ArrayLike<number>, position: number, pairing: Pairing): number[] {
  const result = Array.from(head);
  for (let pair = 0; pair < PAIRS; pair++) {
    const [a, b] = places(pairing, pair);
    const angle = position * FREQUENCIES[pair];
    result[a] = head[a] * Math.cos(angle) - head[b] * Math.sin(angle);
    result[b] = head[a] * Math.sin(angle) + head[b] * Math.cos(angle);
  }
  return result;
}

function contextOf(pairing: Pairing): LayerContext {
  const context: PolicyContext = {
    layerCount: 2,
    kvHeadCount: KV_HEADS,
    headSize: HEAD_SIZE,
    blockSize: 16,
    messages: [],
    promptLength: LENGTH,
    budget: 40,
  };
  const rotary = { frequencies: FREQUENCIES, pairing };
  return { ...context, layer: 1, queryHeadCount: KV_HEADS * GROUP, scoredRows: LENGTH - 8, rotary };
}

/** Queries before rotation, `[queryHead][row]`, and what a policy is told of them. */
function queriesOf(random: () => number, pairing: Pairing): { heads: number[][][]; statistics: QueryStatistics } {
  const heads = Array.from({ length: KV_HEADS * GROUP }, () => {
    const centre = normalValues(random, HEAD_SIZE, 2);
    return Array.from({ length: LENGTH }, () => [...normalValues(random, HEAD_SIZE).map((x, i) => x + centre[i])]);
  });
  const meanOf = (rows: readonly number[][], value: (row: number[]) => number) =>
    rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
  const mean = heads.flatMap((rows) => Array.from({ length: HEAD_SIZE }, (_, i) => meanOf(rows, (row) => row[i])));
  const meanMagnitude = heads.flatMap((rows) =>
    Array.from({ length: PAIRS }, (_, pair) => {
      const [a, b] = places(pairing, pair);
      return meanOf(rows, (row) => Math.hypot(row[a], row[b]));
    })
  );
  return {
    heads,
    statistics: { mean: Float32Array.from(mean), meanMagnitude: Float32Array.from(meanMagnitude) },
  };
}

/** The scores of the policy's linear step for keys at positions 0, 1, ..., of one KV head; and those of a formula. */
function check(
  name: string,
  options: Record<string, unknown>,
  formula: (
    mean: readonly number[],
    lengths: readonly number[],
    key: readonly number[],
    position: number,
    pairing: Pairing,
  ) => number,
): void {
  for (const pairing of ["adjacent", "halves"] as const) {
    const random = seededRandom(pairing.length);
    const context = contextOf(pairing);
    const { statistics } = queriesOf(random, pairing);
    const score = findPolicy(name)!.start(context, options)!.score;
    const { vectors, magnitudes = new Float32Array(KV_HEADS * PAIRS) } = (score[0] as Linear).coefficients(
      statistics,
      context,
    );
    for (let kvHead = 0; kvHead < KV_HEADS; kvHead++) {
      const keys = Array.from({ length: 30 }, () => [...normalValues(random, HEAD_SIZE)]);
      const found = linearScores(
        keys.flatMap((key, position) => rotated(key, position, pairing)),
        Array.from(vectors).slice(kvHead * HEAD_SIZE, (kvHead + 1) * HEAD_SIZE),
        Array.from(magnitudes).slice(kvHead * PAIRS, (kvHead + 1) * PAIRS),
        pairing,
      );
      keys.forEach((key, position) => {
        let expected = 0;
        for (let i = 0; i < GROUP; i++) {
          const head = kvHead * GROUP + i;
          const mean = [...statistics.mean.subarray(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)];
          const lengths = [...statistics.meanMagnitude.subarray(head * PAIRS, (head + 1) * PAIRS)];
          expected += formula(mean, lengths, key, position, pairing) / GROUP;
        }
        assert.ok(
          Math.abs(found[position] - expected) < 1e-4,
          `row ${position}: ${found[position]}, expected ${expected}`,
        );
      });
    }
  }
}

Deno.test("expectedattention asks what the mean query pays on average from the positions behind the prompt", () => {
  check("expectedattention", { ahead: 7 }, (mean, _lengths, key, position, pairing) => {
    let sum = 0;
    for (let later = LENGTH; later < LENGTH + 7; later++) {
      const query = rotated(mean, later, pairing);
      rotated(key, position, pairing).forEach((element, i) => sum += element * query[i]);
    }
    return sum / 7 / Math.sqrt(HEAD_SIZE);
  });
});

Deno.test("triattention follows the published formula, in which keys are not rotated and have positions", () => {
  check("triattention", {}, (mean, lengths, key, position, pairing) => {
    let sum = 0;
    for (let pair = 0; pair < PAIRS; pair++) {
      const [a, b] = places(pairing, pair);
      const [query, own] = [Math.hypot(mean[a], mean[b]), Math.hypot(key[a], key[b])];
      const angle = Math.atan2(mean[b], mean[a]) - Math.atan2(key[b], key[a]);
      for (let power = 0; power <= 16; power++) {
        const distance = LENGTH - position + 2 ** power;
        sum += query * own * Math.cos(FREQUENCIES[pair] * distance + angle) / 17;
      }
      sum += (lengths[pair] - query) * own;
    }
    return sum;
  });
});

Deno.test("expectedattention adds epsilon to shares of attention, and keeps the sinks; triattention gives no negative score", () => {
  const context = contextOf("halves");
  const expected = findPolicy("expectedattention")!.start(context, { epsilon: 0.02 })!.score;
  assert.deepEqual(expected.map(({ name }) => name), ["linear", "normalise", "plus", "valueNorm", "protect"]);
  const { weight, score } = expected[2] as unknown as { weight: number; score: readonly { name: string }[] };
  assert.equal(weight, 0.02);
  assert.deepEqual(score.slice(1), [{ name: "clamp", least: 1, most: 1 }]);
  assert.deepEqual(expected[4], { name: "protect", ranges: [{ start: 0, end: 4 }] });
  const tri = findPolicy("triattention")!.start(context, {})!.score;
  assert.deepEqual(tri.slice(1), [{ name: "normalise", by: "z-score" }, { name: "positive" }]);
});
