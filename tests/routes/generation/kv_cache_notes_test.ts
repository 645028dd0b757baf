import assert from "node:assert/strict";
import { kvCacheNotes } from "../../../src/routes/generation/kv_cache_notes.ts";

const notesOf = (length: number, kvCache: object) =>
  kvCacheNotes({ prompt: new Uint32Array(length), kvCache: { policy: "snapkv", budget: 8, ...kvCache } }, null);

Deno.test("kvCacheNotes() says that a window as long as the prompt leaves nothing to drop", () => {
  assert.deepEqual(notesOf(33, { options: { window: 32 } }), []);
  assert.deepEqual(notesOf(33, {}), []);
  assert.match(
    notesOf(32, { options: { window: 32 } })[0],
    /^The window of 32 rows, .* prompt of 32: nothing was dropped$/,
  );
});

Deno.test("kvCacheNotes() says what the choice itself knows not to count", () => {
  assert.deepEqual(notesOf(33, { idle: ["one"] }), ["one"]);
  assert.equal(notesOf(4, { idle: ["one"], options: { window: 8 } }).length, 2);
});

Deno.test("kvCacheNotes() explains that blocks can take more than they save", () => {
  const notesOf = (bytes: number) =>
    kvCacheNotes({ prompt: new Uint32Array(12), kvCache: { policy: "snapkv", budget: 8 } }, { bytes, fullBytes: 128 });
  assert.deepEqual(notesOf(128), []);
  assert.match(notesOf(256)[0], /more memory than the whole prompt of 12 rows would: .* blocks of 16 rows/);
});
