import assert from "node:assert/strict";
import { type ReadingProgress, watchReading } from "../../src/cli/watch_reading.ts";
import type { Engine } from "../../src/contract/engine.ts";
import type { GenerationEvent, GenerationRequest } from "../../src/contract/generation.ts";

const reading = (share: number): GenerationEvent => ({ type: "reading", rowsPerLayer: [], share });
const TOKENS: GenerationEvent = { type: "tokens", tokens: [] };
const request = (...prompt: number[]) => ({ prompt: Uint32Array.from(prompt), maxTokens: 4 } as GenerationRequest);

/** An engine of which each generation plays what is put into it, and what is told of it. */
function watched() {
  const told: (ReadingProgress | null)[] = [];
  const requests: GenerationRequest[] = [];
  const events: ReadableStreamDefaultController<GenerationEvent>[] = [];
  const cancelled: number[] = [];
  const engine = watchReading({
    device: "a fake",
    state: "ready",
    generate(request: GenerationRequest) {
      const at = requests.push(request) - 1;
      const stream = new ReadableStream<GenerationEvent>({
        start: (controller) => void events.push(controller),
        cancel: () => void cancelled.push(at),
      });
      return { events: stream, abort: () => cancelled.push(at), resume: () => {} };
    },
  } as unknown as Engine, (progress) => told.push(progress));
  const start = (request: GenerationRequest) => {
    const generation = engine.generate(request);
    return { generation, iterator: generation.events[Symbol.asyncIterator]() };
  };
  return { engine, told, requests, events, cancelled, start };
}

Deno.test("A prompt is watched until anything else comes of it, and all events are passed on", async () => {
  const { engine, told, requests, events, start } = watched();
  const { iterator } = start(request(1, 2, 3, 4));
  for (const event of [reading(0.25), reading(1), TOKENS, TOKENS]) events[0].enqueue(event);
  const passed = [];
  for (let i = 0; i < 4; i++) passed.push((await iterator.next()).value!.type);
  assert.deepEqual(passed, ["reading", "reading", "tokens", "tokens"]);
  assert.deepEqual(told, [
    { done: 0, total: 4, read: 0 },
    { done: 1, total: 4, read: 1 },
    { done: 4, total: 4, read: 4 },
    null,
  ]);
  assert.equal(requests[0].reportsReading, true);
  assert.equal(requests[0].maxTokens, 4);
  assert.deepEqual([engine.device, engine.state], ["a fake", "ready"]);
});

Deno.test("Equal prompts count once, others add up, and what has been read to its end counts for the speed alone", async () => {
  const { told, events, start } = watched();
  const [first, same, other] = [[1, 2], [1, 2], [1, 2, 3]].map((prompt) => start(request(...prompt)).iterator);
  assert.deepEqual(told.at(-1), { done: 0, total: 5, read: 0 });
  for (const at of [0, 1]) events[at].enqueue(reading(0.5));
  await first.next();
  await same.next();
  assert.deepEqual(told.at(-1), { done: 1, total: 5, read: 1 });
  for (const at of [0, 1]) events[at].enqueue(TOKENS);
  await first.next();
  await same.next();
  assert.deepEqual(told.at(-1), { done: 0, total: 3, read: 2 });
  events[2].enqueue(TOKENS);
  await other.next();
  assert.equal(told.at(-1), null);
  start(request(7));
  assert.deepEqual(told.at(-1), { done: 0, total: 1, read: 0 });
});

Deno.test("A prompt that is given up is watched no longer, and the engine is told", async () => {
  const { told, events, cancelled, start } = watched();
  const { generation, iterator } = start(request(1, 2));
  events[0].enqueue(reading(0.5));
  await iterator.next();
  await iterator.return!();
  assert.equal(told.at(-1), null);
  assert.deepEqual(cancelled, [0]);
  generation.abort();
  assert.deepEqual(cancelled, [0, 0]);
});

Deno.test("A prompt whose engine fails is watched no longer", async () => {
  const { told, events, start } = watched();
  const { iterator } = start(request(1, 2));
  events[0].error(new Error("lost"));
  await assert.rejects(iterator.next(), /lost/);
  assert.equal(told.at(-1), null);
});
