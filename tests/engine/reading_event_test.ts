import assert from "node:assert/strict";
import type { CachedSequence } from "../../src/engine/kv_cache_usage.ts";
import { readingEvent } from "../../src/engine/reading_event.ts";

const RANKED = 4000;
const WINDOW = 8;

/** Of four layers with three KV heads that keep 4,008 rows of 8,000 each. */
function sequence(policy: CachedSequence["policy"]): CachedSequence {
  return {
    policy,
    window: WINDOW,
    context: { promptLength: 8000, layerCount: 4, kvHeadCount: 3 },
    residence: { cache: { headRows: () => [RANKED, RANKED, RANKED] } },
  } as unknown as CachedSequence;
}

const POLICY = {} as NonNullable<CachedSequence["policy"]>;
const ranked = (_layer: number, head: number) =>
  Uint32Array.from({ length: RANKED }, (_, i) => 2 * i + head % 2).reverse();

Deno.test("a prompt that is being read tells its rows by layer, and their positions as long as they are not too many", () => {
  const told = Array.from(
    { length: 6 },
    (_, i) => readingEvent(sequence(POLICY), { layersRead: i + 1, share: (i + 1) / 6 }, ranked),
  );
  const positions = told.map((event) => event.type === "reading" ? event.positions : assert.fail());
  // Each layer has 12,024 numbers, and 65,536 may be told; of the fourth layer, which is the last, the end tells all.
  assert.deepEqual(positions.map((layers) => layers?.length), [1, 2, 3, undefined, undefined, undefined]);
  assert.deepEqual(positions[0]![0].map((rows) => rows.length), [4008, 4008, 4008]);
  assert.deepEqual(Array.from(positions[0]![0][1].slice(0, 3)), [1, 3, 5]);

  const manyLayers = { ...sequence(POLICY), context: { ...sequence(POLICY).context, layerCount: 40 } };
  const lengths = [5, 6].map((layers) => {
    const event = readingEvent(manyLayers, { layersRead: layers, share: 0.5 }, ranked);
    return event.type === "reading" && [event.rowsPerLayer.length, event.positions?.length];
  });
  assert.deepEqual(lengths, [[5, 5], [6, undefined]]);
});

Deno.test("a prompt of which all is kept tells no positions before its end", () => {
  const event = readingEvent(sequence(null), { layersRead: 2, share: 0.5 }, () => assert.fail("nothing is ranked"));
  assert.deepEqual(event, { type: "reading", rowsPerLayer: [8000, 8000], share: 0.5 });
});

Deno.test("readingEvent() tells no positions where nobody asks for them", () => {
  const event = readingEvent(sequence(POLICY), { layersRead: 2, share: 0.25 }, null);
  assert.deepEqual(Object.keys(event).sort(), ["rowsPerLayer", "share", "type"]);
});
