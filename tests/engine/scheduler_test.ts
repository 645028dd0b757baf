import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { PrefixIndex } from "../../src/cache/prefix_index.ts";
import type { GenerationEvent, GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import type { Sequence } from "../../src/engine/sequence.ts";
import { request } from "../support/engine.ts";
import { registry } from "../support/policies.ts";

const SHAPE = { layerCount: 2, kvHeadCount: 2, headSize: 8 };
const prompt = (length: number, first = 1) => Uint32Array.from({ length }, (_, i) => first + i);

/** A scheduler without anything that computes, and what it reports. */
class Desk {
  readonly events: { id: number; event: GenerationEvent }[] = [];
  readonly pool: BlockPool;
  readonly scheduler: Scheduler;

  constructor({ blocks = 1000, slots = 4 } = {}) {
    this.pool = new BlockPool({ arenas: [blocks], blockBytes: 1, layerCount: SHAPE.layerCount });
    const emit = (id: number, event: GenerationEvent) => this.events.push({ id, event });
    this.scheduler = new Scheduler(
      SHAPE,
      registry,
      new PrefixIndex(this.pool, SHAPE.layerCount, 0, 512),
      slots,
      emit,
      (line) => assert.fail(line),
      { send: () => assert.fail("no request has a grammar"), close() {} },
    );
  }

  add(...requests: GenerationRequest[]): void {
    requests.forEach((single, id) => this.scheduler.add(id, single));
  }

  /** Lets everything in and has its prompts read. */
  prefill(): Sequence[] {
    const sequences = this.scheduler.admit(Infinity, 8).flat();
    for (const { residence: { cache }, request, tokens } of sequences) {
      for (let layer = 0; layer < SHAPE.layerCount; layer++) cache.appendRecent(layer, request.prompt.length);
      tokens.recorded = 1;
    }
    this.scheduler.prefillRecorded(sequences);
    for (const sequence of sequences) this.scheduler.prefilled(sequence);
    return sequences;
  }

  /** Draws tokens of a sequence that runs. */
  draw(sequence: Sequence, ...ids: number[]): void {
    const rows = sequence.tokens.recorded === 1 && !this.#hasFirst.has(sequence) ? ids.length - 1 : ids.length;
    this.#hasFirst.add(sequence);
    for (let layer = 0; layer < SHAPE.layerCount; layer++) sequence.residence.cache.appendRecent(layer, rows);
    sequence.tokens.recorded += rows;
    this.scheduler.receive(sequence, ids.map((id) => ({ id })));
  }
  readonly #hasFirst = new WeakSet<Sequence>();

  types(id: number): string[] {
    return this.events.filter((entry) => entry.id === id).map(({ event }) => event.type);
  }
}

Deno.test("Scheduler lets sequences in first come first served, equal prompts counted once", () => {
  const desk = new Desk();
  desk.add(request(prompt(20)), request(prompt(30, 5)), request(prompt(20)), request(prompt(9)), request(prompt(9)));
  assert.deepEqual(desk.scheduler.nextPrompt, prompt(20));
  assert.deepEqual(desk.scheduler.admit(55, 0), []);
  const groups = desk.scheduler.admit(55, 2);
  assert.deepEqual(groups.map((group) => group.map(({ id }) => id)), [[0, 2], [1]]);
  assert.deepEqual([desk.scheduler.residentCount, desk.scheduler.waitingCount], [3, 2]);
  assert.deepEqual(desk.scheduler.admit(55, 0), []);
  // One slot is left.
  assert.deepEqual(desk.scheduler.admit(55, 8).flat().map(({ id }) => id), [3]);
  assert.deepEqual(desk.scheduler.admit(55, 8), []);
});

Deno.test("Scheduler lets the lowest priority in first, whoever came before, and stops nobody for it", () => {
  const desk = new Desk({ slots: 2 });
  const asked = (first: number, priority?: number) => request(prompt(20, first), { priority });
  desk.add(asked(1), asked(2, 7), asked(3, -2), asked(4, -2), asked(5));
  assert.deepEqual(desk.scheduler.nextPrompt, prompt(20, 3));
  assert.deepEqual(desk.scheduler.admit(Infinity, 8).flat().map(({ id }) => id), [2, 3]);
  desk.scheduler.add(5, asked(6, -100));
  assert.deepEqual(desk.scheduler.admit(Infinity, 8), [], "those that are in stay");
  desk.scheduler.abort(2);
  assert.deepEqual(desk.scheduler.admit(Infinity, 8).flat().map(({ id }) => id), [5]);
  for (const id of [3, 5]) desk.scheduler.abort(id);
  assert.deepEqual(desk.scheduler.admit(Infinity, 8).flat().map(({ id }) => id), [0, 4]);
});

Deno.test("Scheduler lets nobody in who was not promised all that it can need, and keeps the order", () => {
  // 20 + 8 + 32 rows are 4 blocks in each of 2 layers.
  const desk = new Desk({ blocks: 15 });
  desk.add(request(prompt(20)), request(prompt(20, 2)), request(prompt(1), { maxTokens: 1 }));
  assert.deepEqual(desk.scheduler.admit(Infinity, 8).flat().map(({ id }) => id), [0]);
  assert.equal(desk.pool.usedBlocks, 0, "a promise takes no block yet");
  desk.scheduler.abort(0);
  assert.deepEqual(desk.scheduler.admit(Infinity, 8).flat().map(({ id }) => id), [1, 2]);
});

Deno.test("Scheduler puts into the batch what can take a step, and reports tokens up to the end", () => {
  const desk = new Desk();
  desk.add(request(prompt(4), { maxTokens: 3 }), request(prompt(4), { maxTokens: 9, stopTokens: [5] }));
  const [first, second] = desk.prefill();
  assert.deepEqual(desk.scheduler.batch, [first, second]);
  desk.draw(first, 1);
  desk.draw(second, 1);
  first.tokens.recorded = 3;
  assert.deepEqual(desk.scheduler.batch, [second], "all of the first one's tokens are on their way");
  desk.scheduler.receive(first, [{ id: 2 }, { id: 3 }]);
  desk.draw(second, 2, 5, 7);
  assert.deepEqual(desk.events.slice(-2), [
    { id: 1, event: { type: "tokens", tokens: [{ id: 2 }, { id: 5 }] } },
    { id: 1, event: { type: "finished", reason: "stop", completionTokens: 3 } },
  ]);
  assert.deepEqual(desk.types(0), ["prefilled", "tokens", "tokens", "finished"]);
  assert.deepEqual([desk.scheduler.residentCount, desk.pool.usedBlocks], [0, 0]);
  const { promptTokens, generatedTokens } = desk.scheduler.counters;
  assert.deepEqual([promptTokens, generatedTokens], [8, 6]);
});

Deno.test("Scheduler ends an aborted sequence wherever it is, once", () => {
  const desk = new Desk({ slots: 1 });
  desk.add(request(prompt(4)), request(prompt(4)));
  const [first] = desk.prefill();
  for (const id of [1, 0, 0, 99]) desk.scheduler.abort(id);
  assert.deepEqual([desk.types(0), desk.types(1)], [["prefilled", "finished"], ["finished"]]);
  assert.deepEqual([desk.scheduler.batch, desk.scheduler.waitingCount, desk.pool.usedBlocks], [[], 0, 0]);
  assert.throws(() => first.residence, { message: "Sequence 0 has not been admitted, or has ended" });
});

Deno.test("Scheduler pauses a resumable sequence once all that was recorded is back, and lets it go on", () => {
  const desk = new Desk();
  desk.add(request(prompt(4), { maxTokens: 2, resumableTokens: 20 }));
  const [sequence] = desk.prefill();
  desk.draw(sequence, 1);
  sequence.residence.cache.reserveRecent(3);
  for (let layer = 0; layer < SHAPE.layerCount; layer++) sequence.residence.cache.appendRecent(layer, 3);
  sequence.tokens.recorded = 4;
  desk.scheduler.receive(sequence, [{ id: 2 }, { id: 3 }]);
  assert.deepEqual(desk.types(0), ["prefilled", "tokens", "tokens"]);
  assert.deepEqual(desk.scheduler.batch, []);
  desk.scheduler.receive(sequence, [{ id: 4 }]);
  assert.deepEqual(desk.events.at(-1)!.event, { type: "paused", reason: "length", completionTokens: 2 });
  const continuation = { tokens: Uint32Array.of(9) };
  assert.deepEqual(desk.scheduler.resume(0, { rewind: false, continuation, maxTokens: 1 }), {
    slot: sequence.residence.slot,
    token: 2,
    position: 6,
    surplusRows: 2,
  });
  // Four rows of the prompt, one of the first token: the second's comes with the next step.
  assert.deepEqual(Array.from(sequence.residence.cache.recentRows), [5, 5]);
  assert.deepEqual(desk.scheduler.batch, [sequence]);
  assert.equal(desk.scheduler.resume(0, { rewind: true, continuation, maxTokens: 1 }), null, "it does not wait");
  assert.equal(desk.scheduler.resume(99, { rewind: true, continuation, maxTokens: 1 }), null);
});

Deno.test("Scheduler has a sequence stand still from the end of an interval until its rows are evicted", () => {
  const desk = new Desk();
  const kvCache: KvCacheChoice = { policy: "snapkv", budget: 16, decodeInterval: 4, decodeProtection: "none" };
  // The prompt is within the budget: it is kept whole, and only what comes after it is evicted from.
  desk.add(request(prompt(14), { maxTokens: 30, kvCache }), request(prompt(14), { maxTokens: 30 }));
  const [evicts, other] = desk.prefill();
  for (const sequence of [evicts, other]) desk.draw(sequence, 1, 2, 3);
  assert.deepEqual(desk.scheduler.standStill(desk.scheduler.batch), []);
  for (const sequence of [evicts, other]) desk.draw(sequence, 4, 5);
  assert.deepEqual(desk.scheduler.standStill(desk.scheduler.batch), [evicts]);
  assert.deepEqual(desk.scheduler.batch, [other]);
  for (let layer = 0; layer < SHAPE.layerCount; layer++) evicts.residence.cache.rearrange(layer, 7 + layer, 8);
  desk.scheduler.evicted(evicts, [18, 18]);
  assert.deepEqual(desk.events.at(-1), {
    id: 0,
    event: { type: "evicted", rowsPerLayer: [15, 16] },
  });
  assert.deepEqual(desk.scheduler.counters.evictedRowsPerLayer, [3, 2]);
  assert.deepEqual(desk.scheduler.batch, [other, evicts]);
});

Deno.test("Scheduler lets in a prompt that fills the rows there are to the last one", () => {
  const desk = new Desk();
  desk.add(request(prompt(10)));
  assert.equal(desk.scheduler.admit(9, 8).length, 0);
  assert.equal(desk.scheduler.admit(10, 8).length, 1);
});

Deno.test("Scheduler fails a sequence that needs more than there will ever be, instead of having it wait", () => {
  const desk = new Desk({ blocks: 8 });
  desk.add(request(prompt(200)));
  assert.match(JSON.stringify(desk.events), /"type":"failed","message":"[^"]*asks for more memory than there is/);
  assert.equal(desk.scheduler.waitingCount, 0);
});
