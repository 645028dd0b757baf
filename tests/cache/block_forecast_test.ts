import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { forecastBlocks, forecastEvictingBlocks, forecastProtectingBlocks } from "../../src/cache/block_forecast.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { sharingSchedule } from "../../src/engine/forecast.ts";
import adakv from "../../src/plugins/adakv.ts";
import dynamickv from "../../src/plugins/dynamickv.ts";
import lava from "../../src/plugins/lava.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { startPolicy } from "../../src/policy/fence.ts";
import { KV_HEADS, layerScores, randomScores } from "../support/prefill.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

Deno.test("forecastBlocks() of a full cache is every row of every layer", () => {
  const context = {
    layerCount: 3,
    kvHeadCount: 1,
    headSize: 8,
    blockSize: 16,
    messages: [],
    promptLength: 30,
    budget: 8,
  };
  assert.equal(forecastBlocks(context, null, 2), 6);
  assert.equal(forecastBlocks(context, null, 3), 9);
});

/** Layers are given 64 ranked rows, 4 blocks, beside a window of 4; the budget leaves each of them 32, 2 blocks. */
const SHAPE = { layerCount: 3, kvHeadCount: 2, promptLength: 52, budget: 36 };
const SHARED_TWICE = [false, true, true].map((isShared) => ({ provisionalRows: 64, isShared }));

Deno.test("forecastBlocks() is what three layers can come to that are shared twice, by hand", () => {
  const blocks = (newRows: number) =>
    forecastBlocks(SHAPE, { window: 4, perHead: false, layers: SHARED_TWICE }, newRows);
  // While the third layer arrives with its 4 blocks, the first two have theirs, as yet uncut, and each has a block of its window.
  assert.equal(blocks(12), 4 + 8 + 3);
  // At the end 96 rows are left, of which each layer ends one in a block of its own: (96 + 3 * 15) / 16. Behind them 48 rows each.
  assert.equal(blocks(44), 8 + 3 * 3);
});

Deno.test("forecastBlocks() of heads that are packed reckons with half-filled slots, by hand", () => {
  // (96 + 3 * 15) / 16 and half a slot a layer: 10, and 64 rows behind them.
  assert.equal(forecastBlocks(SHAPE, { window: 4, perHead: true, layers: SHARED_TWICE }, 60), 10 + 3 * 4);
});

Deno.test("forecastProtectingBlocks() keeps the prompt, the budget and an interval, by hand", () => {
  // 30 of the prompt, 16 + 4 of the budget, 10 of the interval, and 15 as a layer may begin a block: 75 rows of 2 layers.
  const shape = { layerCount: 2, kvHeadCount: 1, promptLength: 30, budget: 20 };
  assert.equal(forecastProtectingBlocks(shape, null, 4, 10), 2 * 5);
});

Deno.test("forecastEvictingBlocks() keeps what is shared, each layer's last block begun, and what is generated, by hand", () => {
  // 4 * 32 ranked rows are (4 * (32 + 15)) / 16 blocks at worst; 1 + 16 rows of each layer behind them.
  const shape = { layerCount: 4, kvHeadCount: 1, promptLength: 10, budget: 33 };
  assert.equal(forecastEvictingBlocks(shape, null, 1, 16), 11 + 4 * 2);
});

for (const isLate of [false, true]) {
  const when = isLate ? "one interval late" : "at once";
  Deno.test(`No sequence takes more blocks than forecast, sharings taking effect ${when}, policies failing or not`, () => {
    checkPeaks(isLate);
  });
}

/** @param isLate Whether a sharing takes effect only when the next is due, or at once */
function checkPeaks(isLate: boolean): void {
  const random = seededRandom(9);
  for (let round = 0; round < 240; round++) {
    const layerCount = randomInteger(random, 1, 16);
    const promptLength = randomInteger(random, 20, 700);
    const context = {
      layerCount,
      kvHeadCount: KV_HEADS,
      headSize: 8,
      blockSize: 16,
      messages: [],
      promptLength,
      budget: randomInteger(random, 1, 90),
    };
    const failsAt = randomInteger(random, 0, layerCount);
    const sound = [dynamickv, dynamickv, adakv, lava][round % 4];
    const mode = random() < 0.5 ? "mended" : "published";
    const options = sound !== dynamickv ? {} : {
      mode,
      maximumRatio: 1 + 9 * random(),
      interval: randomInteger(random, 1, 4),
    };
    const fewest = random() < 0.3 ? 1 : Infinity;
    const flaky: Policy = {
      ...sound,
      start(...given) {
        const policy = sound.start(...given);
        return policy && {
          ...policy,
          provisionalRows: (layer) => Math.min(policy.provisionalRows(layer), fewest),
          allot: (layers) => layers.length > failsAt ? Uint32Array.of() : policy.allot(layers),
        };
      },
    };
    const policy = startPolicy(flaky, context, options, () => {});
    if (policy === null) continue;
    const newRows = randomInteger(random, 1, 60);
    const forecast = forecastBlocks(context, sharingSchedule(policy, layerCount), newRows);

    const pool = new BlockPool({ arenas: [100_000], blockBytes: 1, layerCount });
    const cache = new SequenceCache(pool, 0, layerCount);
    const scores = randomScores(random, layerCount, KV_HEADS * (promptLength - policy.window));
    let share = () => {};
    for (let layer = 0; layer < layerCount; layer++) {
      cache.setRanked(layer, policy.provisionalRows(layer));
      cache.appendRecent(layer, policy.window);
      if (!policy.isRebalanceDue(layer)) continue;
      if (isLate) share();
      share = () => {
        const seen = scores.slice(0, layer + 1).map((own, i) => {
          const held = cache.packedHeads(i)?.rows ?? Array<number>(KV_HEADS).fill(cache.rankedRows[i]);
          return layerScores(policy, own, [...held]);
        });
        const rows = policy.allot(seen);
        if (!policy.perHead) rows.forEach((rows, i) => cache.truncateRanked(i, rows));
        else seen.forEach((_, i) => cache.truncateHeads(i, rows.subarray(i * KV_HEADS, (i + 1) * KV_HEADS)));
      };
      if (!isLate) share();
    }
    if (isLate) share();
    cache.reserveRecent(newRows);
    assert.ok(pool.peakBlocks <= forecast, `${pool.peakBlocks} blocks at once, but ${forecast} forecast`);
    cache.release();
    assert.equal(pool.usedBlocks, 0);
  }
}
