/** @file Salts of the prefix cache, on both engines: who gives one finds what was kept with it, and reads along with nobody else. */
import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import type { PrefixIndex } from "../../src/cache/prefix_index.ts";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { isReadAlike } from "../../src/engine/prompt_groups.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { type Outcome, randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { observedModel, runTogether } from "../support/scheduling.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 31, layers: 3, keyGains: [1, 0.3, 1.6] };
const CONTEXT = 1900;
const DOCUMENT = randomPrompt(seededRandom(1), 1100);
const SHORT = DOCUMENT.slice(0, 200);
const wholeBlocks = (rows: number) => Math.floor(rows / BLOCK_ROWS) * BLOCK_ROWS;

interface Engine {
  readonly index: PrefixIndex;
  together(asked: readonly GenerationRequest[]): Promise<readonly Outcome[]>;
}

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  async gpu() {
    const { model } = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4, prefixCache: Infinity });
    return { index: model.prefixIndex, together: (asked) => runTogether(model, asked) };
  },
  async cpu() {
    const options = { contextLength: CONTEXT, prefixCache: Infinity, weights: "int8" } as const;
    const model = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, options));
    return {
      index: model.prefixCache.index,
      together: async (asked) => (await runOnCpu(model, asked)).outcomes,
    };
  },
};

for (const [name, open] of Object.entries(ENGINES)) {
  const engine = await open();

  /** Asks one after the other. @returns tokens of each prompt that were found */
  const found = async (...asked: readonly GenerationRequest[]): Promise<number[]> => {
    const tokens: number[] = [];
    for (const single of asked) tokens.push((await engine.together([single]))[0].cachedTokens!);
    return tokens;
  };

  for (const policy of ["full", "dynamickv"]) {
    Deno.test(`a prompt is found with its own salt alone, and what is found changes no answer: ${policy} on the ${name}`, async () => {
      engine.index.clear();
      const ask = (cacheSalt?: string) =>
        request(SHORT, { maxTokens: 6, kvCache: { policy, budget: 60 }, ...cacheSalt && { cacheSalt } });
      const [unsalted] = await engine.together([ask()]);
      assert.deepEqual(await found(ask("one"), ask("two")), [0, 0]);
      const known = wholeBlocks(SHORT.length - (policy === "full" ? 1 : 8));
      assert.deepEqual(await found(ask("one"), ask("two"), ask()), [known, known, known]);
      assert.deepEqual((await engine.together([ask("one")]))[0].ids, unsalted.ids);
      engine.index.clear();
      assert.deepEqual(await found(ask("one"), ask()), [0, 0]);
    });
  }

  Deno.test(`an answer that a conversation may go on from is found with the salt that it was made with: ${name}`, async () => {
    engine.index.clear();
    const [{ ids }] = await engine.together([request(SHORT, { maxTokens: 40, cacheSalt: "mine" })]);
    const next = [...SHORT, ...ids, 5];
    assert.deepEqual(
      await found(request(next), request(next, { cacheSalt: "other" }), request(next, { cacheSalt: "mine" })),
      [0, 0, wholeBlocks(SHORT.length + 40 - 1)],
    );
  });

  Deno.test(`scores of rehearsed chunks are found with their own salt alone: ${name}`, async () => {
    engine.index.clear();
    const ask = (last: number, cacheSalt: string) =>
      request([...DOCUMENT, last], { maxTokens: 4, kvCache: { policy: "rehearsal", budget: 60 }, cacheSalt });
    assert.deepEqual(await found(ask(5, "one"), ask(6, "two"), ask(7, "one"), ask(8, "two")), [
      0,
      0,
      wholeBlocks(1101 - 512),
      wholeBlocks(1101 - 512),
    ]);
  });

  Deno.test(`equal prompts with other salts are not read along with each other: ${name}`, async () => {
    engine.index.clear();
    await found(request(SHORT, { cacheSalt: "one" }));
    const salts = ["one", "two", undefined, "two"];
    const outcomes = await engine.together(salts.map((cacheSalt) => request(SHORT, { cacheSalt })));
    assert.deepEqual(outcomes.map(({ cachedTokens }) => cachedTokens), [wholeBlocks(199), 0, 0, 0]);
    assert.deepEqual(outcomes.map(({ ids }) => ids), salts.map(() => outcomes[0].ids));
  });
}

Deno.test("a reading is shared by equal prompts with the same salt, or with none", () => {
  const [none, one, other] = [undefined, "one", "two"].map((cacheSalt) => request([1, 2], { cacheSalt }));
  assert.deepEqual([isReadAlike(none, request([1, 2])), isReadAlike(one, { ...one })], [true, true]);
  for (const [a, b] of [[none, one], [one, none], [one, other], [none, request([1, 3])], [none, request([1])]]) {
    assert.equal(isReadAlike(a, b), false);
  }
});
