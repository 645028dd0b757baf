import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { forecastBlocks } from "../../src/cache/block_forecast.ts";
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
