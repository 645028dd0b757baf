/** @file No stop token comes before a generation has as many tokens as it must have, on both engines. */
import assert from "node:assert/strict";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { FORBIDDEN_BIAS, GREEDY } from "../../src/contract/sampling.ts";
import type { EngineClient } from "../../src/engine/client.ts";
import { withoutStops } from "../../src/engine/token_masks.ts";
import { collect, ENGINES, randomPrompt, request, startTestEngine } from "../support/engine.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { choiceGrammar } from "../support/grammars.ts";

const MODEL = { architecture: "qwen2", seed: 5 } as const;
/** Of tiny_model.ts. */
const VOCABULARY = 320;
const END = 319;

const random = seededRandom(12);
/** So many that a generation without a minimum soon ends. */
const STOPS = [END, ...Array.from({ length: 120 }, () => randomInteger(random, 0, VOCABULARY - 1))];
const FORBIDDEN = STOPS.map((token) => ({ token, bias: FORBIDDEN_BIAS }));
const prompt = randomPrompt(random, 30);

for (const [name, options] of Object.entries(ENGINES)) {
  testEngine(name, await startTestEngine(MODEL, { maxBatch: 4, ...options }));
}

function testEngine(name: string, engine: EngineClient): void {
  const ask = async (changes: Partial<GenerationRequest>) =>
    await collect(engine.generate(request(prompt, { maxTokens: 60, stopTokens: STOPS, ...changes })));

  Deno.test(`${name}: the first tokens are those that a ban of all stop tokens gives, then any may come`, async () => {
    const samplings = [
      GREEDY,
      { ...GREEDY, temperature: 1.2, seed: 8 },
      { ...GREEDY, temperature: 1, seed: 3, presencePenalty: 0.5, logitBias: [{ token: 40, bias: 4 }] },
    ];
    // Together, so that minima end in the middle of each other's steps.
    const asked = samplings.flatMap((sampling) => [0, 1, 2, 17, 60].map((minTokens) => ({ sampling, minTokens })));
    const [outcomes, banned, free] = await Promise.all([
      Promise.all(asked.map(ask)),
      Promise.all(
        samplings.map((sampling) =>
          ask({ sampling: { ...sampling, logitBias: [...sampling.logitBias, ...FORBIDDEN] } })
        ),
      ),
      Promise.all(samplings.map((sampling) => ask({ sampling, stopTokens: [] }))),
    ]);
    let stops = 0;
    outcomes.forEach(({ ids, last }, at) => {
      const { minTokens, sampling } = asked[at];
      const own = samplings.indexOf(sampling);
      assert.deepEqual(ids.slice(0, minTokens), banned[own].ids.slice(0, minTokens), `${minTokens} at least`);
      assert.ok(!ids.slice(0, minTokens).some((id) => STOPS.includes(id)));
      const stop = ids.findIndex((id) => STOPS.includes(id));
      if (stop >= 0) stops++;
      assert.deepEqual(last, {
        type: "finished",
        reason: stop < 0 ? "length" : "stop",
        completionTokens: stop < 0 ? 60 : stop + 1,
      });
      if (minTokens === 0) assert.deepEqual(ids, free[own].ids.slice(0, ids.length));
    });
    assert.ok(stops >= 6, "most end early as soon as they may");
  });

  Deno.test(`${name}: tokens that are given do not count as generated`, async () => {
    const continuation = { tokens: Uint32Array.from([7, END, 9]) };
    const { ids, last } = await ask({ continuation, minTokens: 5, maxTokens: 5 });
    assert.equal(ids.length, 5);
    assert.ok(!ids.some((id) => STOPS.includes(id)));
    assert.deepEqual(last, { type: "finished", reason: "length", completionTokens: 5 });
  });

  Deno.test(`${name}: an answer that its grammar ends has no more tokens than the grammar lets it have`, async () => {
    const grammar = choiceGrammar(["red", "green"]);
    const { last } = await ask({ grammar, stopTokens: [END], minTokens: 20 });
    assert.ok(last.type === "finished" && last.reason === "stop" && last.completionTokens < 8);
    // Where it may go on, it does.
    const open = await ask({ grammar: "root ::= [a-z]*", stopTokens: [END], minTokens: 20, maxTokens: 24 });
    assert.ok(open.ids.length >= 20 && !open.ids.slice(0, 20).includes(END));
  });

  Deno.test(`${name}: thoughts are tokens too`, async () => {
    const reasoning = { begin: null, end: 40, budget: 6, closing: [40] };
    const { ids } = await ask({ reasoning, minTokens: 12, maxTokens: 20 });
    assert.ok(ids.length >= 12 && !ids.slice(0, 12).some((id) => id !== 40 && STOPS.includes(id)));
  });

  Deno.test(`${name} closes`, () => engine.close());
}

Deno.test("withoutStops() leaves the stop tokens where nothing else may come", () => {
  const all = withoutStops(null, [0, 33], 70);
  assert.deepEqual(Array.from(all), [0xfffffffe, 0xfffffffd, 0xffffffff]);
  const mask = Uint32Array.of(0b1001, 0, 0);
  assert.deepEqual(Array.from(withoutStops(mask, [3, 40], 70)), [1, 0, 0]);
  assert.deepEqual(Array.from(withoutStops(mask, [0, 3], 70)), [0b1001, 0, 0]);
  assert.deepEqual(Array.from(mask), [0b1001, 0, 0], "the mask itself is as it was");
});
