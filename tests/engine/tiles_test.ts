import assert from "node:assert/strict";
import { tilesOf } from "../../src/engine/tiles.ts";

Deno.test("tilesOf() takes neighbouring prompts together, and leaves out what is cached", () => {
  assert.deepEqual(tilesOf([{ start: 3, length: 10, cachedRows: 0 }, { start: 13, length: 5, cachedRows: 0 }], 8), [
    { first: 3, count: 8 },
    { first: 11, count: 7 },
  ]);
  assert.deepEqual(tilesOf([{ start: 0, length: 20, cachedRows: 16 }, { start: 20, length: 9, cachedRows: 0 }], 8), [
    { first: 16, count: 8 },
    { first: 24, count: 5 },
  ]);
  const apart = [{ start: 0, length: 4, cachedRows: 0 }, { start: 4, length: 40, cachedRows: 32 }];
  assert.deepEqual(tilesOf(apart, 8), [{ first: 0, count: 4 }, { first: 36, count: 8 }]);
});
