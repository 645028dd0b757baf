/**
 * The positions that both engines report are those of the rows that they hold: the keys of a full cache lie in the order of the
 * text, and no two of them are alike, so each held key tells which row it is.
 */
import assert from "node:assert/strict";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import type { GenerationEvent, GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { type HeldKeys, loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { TurnPace } from "../../src/engine/turn_pace.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { runOnGpu } from "../support/gpu_rows.ts";
import { observedModel, TestRun } from "../support/scheduling.ts";

const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 5,
  layers: 4,
  queryHeads: 6,
  kvHeads: 3,
  keyGains: [1, 0.3, 1.5, 0.1],
};
const SERVING = { contextLength: 500, maxBatch: 4, kvMemory: 8 * 2 ** 20 };
const PROMPT = randomPrompt(seededRandom(8), 300);

/** Budgets by layer, by head, of all heads alike, one that cuts several times, and none. */
const CHOICES: readonly KvCacheChoice[] = [
  { policy: "dynamickv", budget: 40 },
  { policy: "adakv", budget: 33 },
  { policy: "tova", budget: 21 },
  { policy: "dynamickv-heads", budget: 30 },
  { policy: "streaming", budget: 16 },
  { policy: "full", budget: 1 },
].map(({ policy, ...rest }) => ({ policy: policy === "dynamickv-heads" ? `snapkv+${policy}` : policy, ...rest }));

function asking(kvCache: KvCacheChoice): GenerationRequest {
  return request(PROMPT, { kvCache: { ...kvCache, report: "positions" }, maxTokens: 2 });
}

/** Rising positions of the held rows, by layer and head. */
function positionsOf(held: HeldKeys, full: HeldKeys): number[][][] {
  const headSize = full[0][0].length / PROMPT.length;
  const row = (keys: readonly number[], at: number) => keys.slice(at * headSize, (at + 1) * headSize);
  return held.map((heads, layer) =>
    heads.map((keys, head) =>
      Array.from({ length: keys.length / headSize }, (_, at) => {
        const key = row(keys, at);
        const distances = PROMPT.map((_, position) =>
          row(full[layer][head], position).reduce((sum, value, i) => sum + Math.abs(value - key[i]), 0)
        );
        return distances.indexOf(Math.min(...distances));
      }).sort((a, b) => a - b)
    )
  );
}

/** As reported, with a list for every head. */
function reported(events: readonly GenerationEvent[], heads: number): number[][][] {
  const prefilled = events.find((event) => event.type === "prefilled")!;
  return prefilled.kvCache.positions!.map((lists) => {
    assert.ok(lists.length === 1 || lists.length === heads);
    return Array.from({ length: heads }, (_, head) => Array.from(lists[head] ?? lists[0]));
  });
}

function assertReading(events: readonly GenerationEvent[]): void {
  const types = events.map(({ type }) => type);
  const before = events.slice(0, types.indexOf("prefilled"));
  assert.ok(before.length > 0);
  const counts = before.map((event) => event.type === "reading" ? event.rowsPerLayer.length : -1);
  assert.deepEqual(counts, counts.toSorted((a, b) => a - b), "layers are read one after the other");
  assert.equal(counts.at(-1), MODEL.layers);
  const shares = before.map((event) => event.type === "reading" ? event.share : -1);
  assert.deepEqual(shares, [...new Set(shares)].sort((a, b) => a - b), "each tells of more work");
  assert.ok(shares[0] > 0);
  assert.equal(shares.at(-1), 1);
  assert.ok(!types.slice(before.length).includes("reading"));
}

/** Positions are told while the prompt is read, of the layers so far: as many as rows, and all that are kept in the end. */
function assertLivePositions(events: readonly GenerationEvent[], choice: KvCacheChoice): void {
  const told = events.flatMap((event) => event.type === "reading" && event.positions ? [event] : []);
  if (choice.policy === "full") return assert.equal(told.length, 0);
  const end = reported(events, 3);
  assert.ok(told.length > 0, choice.policy);
  for (const { rowsPerLayer, positions } of told) {
    const lists = positions!.map((heads) =>
      Array.from({ length: 3 }, (_, head) => Array.from(heads[head] ?? heads[0]))
    );
    assert.ok(rowsPerLayer.length < MODEL.layers!);
    assert.deepEqual(lists.map((heads) => heads.reduce((sum, rows) => sum + rows.length, 0) / 3), rowsPerLayer);
    lists.forEach((heads, layer) =>
      heads.forEach((rows, head) => {
        assert.deepEqual(rows, rows.toSorted((a, b) => a - b));
        // Budgets are cut while other layers are read, and never raised.
        assert.deepEqual(end[layer][head].filter((row) => !rows.includes(row)), [], choice.policy);
      })
    );
  }
}

/** Has prompts read in small pieces, however fast the machine is. */
async function atOneTileATurn<Result>(action: () => Promise<Result>): Promise<Result> {
  const { tiles } = TurnPace.prototype;
  TurnPace.prototype.tiles = () => 1;
  try {
    return await action();
  } finally {
    TurnPace.prototype.tiles = tiles;
  }
}

Deno.test("the GPU reports the positions of the rows that it holds, and rows by layer meanwhile", async () => {
  const observed = await observedModel(MODEL, SERVING);
  const { held: full } = await runOnGpu(observed, request(PROMPT, { maxTokens: 2 }));
  for (const choice of CHOICES) {
    const { held, outcome } = await runOnGpu(observed, asking(choice));
    const events = await atOneTileATurn(async () => {
      const run = new TestRun(observed.model);
      run.add(asking(choice));
      await run.end();
      return run.events[0];
    });
    assert.deepEqual(reported(events, 3), positionsOf(held, full), choice.policy);
    assert.deepEqual(outcome.kvCache!.positions!.length, MODEL.layers);
    assertReading(events);
    assertLivePositions(events, choice);
  }
});

Deno.test("the CPU reports the positions of the rows that it holds, and rows by layer meanwhile", async () => {
  const cpu = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, SERVING));
  const { held: [full] } = await runOnCpu(cpu, [request(PROMPT)]);
  for (const choice of CHOICES) {
    const { held: [held], events: [events] } = await runOnCpu(cpu, [asking(choice)]);
    assert.deepEqual(reported(events, 3), positionsOf(held, full), choice.policy);
    assertReading(events);
    assertLivePositions(events, choice);
  }
});

Deno.test("heads that keep the same rows have one list, and a whole prompt has all of its positions", async () => {
  const cpu = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, SERVING));
  const listsOf = async (choice: KvCacheChoice) => {
    const { outcomes: [{ kvCache }] } = await runOnCpu(cpu, [asking(choice)]);
    return kvCache!.positions!;
  };
  for (const lists of await listsOf({ policy: "full", budget: 1 })) {
    assert.deepEqual(lists.map((list) => Array.from(list)), [PROMPT.map((_, position) => position)]);
  }
  for (const lists of await listsOf({ policy: "tova", budget: 21 })) assert.equal(lists.length, 1);
  assert.ok((await listsOf({ policy: "adakv", budget: 33 })).some((lists) => lists.length === 3));
});

Deno.test("positions are reported only where they are asked for, and their buffer is given back, aborted or not", async () => {
  const observed = await observedModel(MODEL, SERVING);
  const { gpu } = observed.model;
  const silent = new TestRun(observed.model);
  silent.add(request(PROMPT, { kvCache: CHOICES[0] }));
  const { outcomes: [{ kvCache, types }] } = await silent.end();
  assert.equal(kvCache!.positions, undefined);
  assert.ok(!types.includes("reading"));

  // How far it is may be asked for alone.
  const told = new TestRun(observed.model);
  told.add({ ...request(PROMPT, { kvCache: CHOICES[0] }), reportsReading: true });
  const { outcomes: [watched] } = await told.end();
  assert.equal(watched.kvCache!.positions, undefined);
  assert.ok(watched.types.includes("reading"));

  const before = gpu.bytes;
  const run = new TestRun(observed.model, (id, event) => {
    if (event.type === "reading" && id === 1) queueMicrotask(() => run.loop.abort(1));
  });
  for (const choice of CHOICES) run.add(asking(choice));
  const { outcomes } = await run.end();
  const last = outcomes[1].last;
  assert.equal(last.type === "finished" && last.reason, "aborted");
  // What scoring needs of scratch stays; buffers of positions do not.
  const again = gpu.bytes;
  assert.ok(again >= before);
  const second = new TestRun(observed.model);
  for (const choice of CHOICES) second.add(asking(choice));
  await second.end();
  assert.equal(gpu.bytes, again);
});
