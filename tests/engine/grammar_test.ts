import assert from "node:assert/strict";
import { GREEDY } from "../../src/contract/sampling.ts";
import type { GenerationRequest, Reasoning } from "../../src/contract/generation.ts";
import type { EngineClient } from "../../src/engine/client.ts";
import { collect, ENGINES, randomPrompt, request, startTestEngine } from "../support/engine.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { choiceGrammar, patternGrammar, schemaGrammar } from "../support/grammars.ts";

/** tinyByteLevelGguf's: ids are GPT-2's order of bytes, then pairs of letters; the last one ends. */
const END = 319;
const MODEL = { architecture: "qwen2", seed: 5 } as const;
const { tokens: TOKENS } = await import("../../fixtures/tiny_tokenizer.ts").then(({ tinyByteLevelGguf }) => {
  const { "tokenizer.ggml.tokens": tokens } = tinyByteLevelGguf(320) as { "tokenizer.ggml.tokens": string[] };
  return { tokens };
});

const prompt = randomPrompt(seededRandom(1), 30);
const hot = (seed: number) => ({ ...GREEDY, temperature: 1, seed });
const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string" },
    count: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["name", "count", "tags"],
  additionalProperties: false,
};

const GPT2_BYTES = (() => {
  const bytes = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const isShown = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    bytes.set(String.fromCodePoint(isShown ? byte : next++), byte);
  }
  return bytes;
})();
const spelled = (ids: readonly number[]) =>
  new TextDecoder().decode(
    Uint8Array.from(ids.filter((id) => id !== END).flatMap((id) => Array.from(TOKENS[id], (c) => GPT2_BYTES.get(c)!))),
  );

for (const [name, options] of Object.entries(ENGINES)) {
  testEngine(name, await startTestEngine(MODEL, { maxBatch: 4, ...options }));
}

function testEngine(name: string, engine: EngineClient): void {
  const test = (what: string, body: () => Promise<void>) => Deno.test(`${name}: ${what}`, body);
  const ask = async (changes: Partial<GenerationRequest>) =>
    await collect(engine.generate(request(prompt, { stopTokens: [END], ...changes })));

  test("greedy and sampled answers under a schema are its documents, whatever their length", async () => {
    const grammar = schemaGrammar(SCHEMA);
    const all = Array.from({ length: 12 }, (_, seed) => ({
      grammar,
      maxTokens: 40 + 17 * seed,
      sampling: seed === 0 ? GREEDY : hot(seed),
    }));
    for (const { ids, last } of await Promise.all(all.map(ask))) {
      const document = JSON.parse(spelled(ids));
      assert.deepEqual(Object.keys(document), ["name", "count", "tags"]);
      assert.equal(typeof document.name, "string");
      assert.ok(Number.isInteger(document.count));
      assert.ok(document.tags.every((tag: unknown) => typeof tag === "string"));
      assert.ok(last.type === "finished" && last.reason !== "aborted");
    }
  });

  test("an answer that max_tokens cuts is a document all the same, and says that it was cut", async () => {
    const quote = TOKENS.indexOf('"');
    const sampling = { ...hot(3), logitBias: [{ token: quote, bias: -1000 }] };
    const grammar = schemaGrammar({ type: "object", properties: { a: { type: "string" } }, required: ["a"] });
    for (const maxTokens of [9, 10, 11, 40, 111]) {
      const { ids, last } = await ask({ grammar, maxTokens, sampling });
      assert.equal(typeof JSON.parse(spelled(ids)).a, "string");
      assert.deepEqual(last, { type: "finished", reason: "length", completionTokens: maxTokens });
    }
  });

  test("choices and regular expressions are kept to", async () => {
    const chosen = await ask({ grammar: choiceGrammar(["red", "green", "blue"]), maxTokens: 20 });
    assert.ok(["red", "green", "blue"].includes(spelled(chosen.ids)));
    assert.equal(chosen.last.type === "finished" && chosen.last.reason, "stop");
    // Where nothing may follow, no token has to say so.
    const endless = await ask({ grammar: choiceGrammar(["red", "green"]), maxTokens: 20, stopTokens: [] });
    assert.ok(["red", "green"].includes(spelled(endless.ids)));
    assert.equal(endless.last.type === "finished" && endless.last.reason, "stop");
    // It may end behind the first letter, and no token would say so; the second leads to more than there is room for.
    const cut = await ask({ grammar: patternGrammar("x(yzyzyzyzyzyzyzyzyzyzyzyz)?"), maxTokens: 6, stopTokens: [] });
    assert.equal(spelled(cut.ids), "x");
    assert.equal(cut.last.type === "finished" && cut.last.reason, "length");
    const matched = await ask({ grammar: patternGrammar("[A-F]{3}-\\d{2,5}x"), maxTokens: 20, sampling: hot(1) });
    assert.match(spelled(matched.ids), /^[A-F]{3}-\d{2,5}x$/);
  });

  test("a grammar that holds behind a token leaves all tokens before as they are, and binds those behind", async () => {
    const grammar = choiceGrammar(["red", "green", "blue"]);
    const free = { maxTokens: 60, stopTokens: [], sampling: hot(9) };
    const alone = await ask(free);
    // Where the token comes first, in the middle, and at the end of the tokens that a submit has.
    for (const at of [0, 1, 7, 20, 33]) {
      const grammarAfter = alone.ids[at];
      const begin = alone.ids.indexOf(grammarAfter);
      const [bound, beside] = await Promise.all([ask({ ...free, grammar, grammarAfter }), ask(free)]);
      assert.deepEqual(bound.ids.slice(0, begin + 1), alone.ids.slice(0, begin + 1));
      assert.match(spelled(bound.ids.slice(begin + 1)), /^(red|green|blue)$/);
      assert.deepEqual(bound.last, { type: "finished", reason: "stop", completionTokens: bound.ids.length });
      assert.deepEqual(beside.ids, alone.ids);
    }
    const never = Array.from({ length: 320 }, (_, id) => id).find((id) => !alone.ids.includes(id));
    assert.deepEqual((await ask({ ...free, grammar, grammarAfter: never })).ids, alone.ids);
  });

  test("a token behind which a grammar holds says nothing within thoughts", async () => {
    const grammar = choiceGrammar(["red", "green"]);
    const [after, end, other] = [40, 41, 42];
    let met = 0;
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const sampling = { ...hot(seed), allowedTokens: Uint32Array.of(after, end, other) };
      const free = { maxTokens: 60, stopTokens: [], sampling };
      const { ids } = await ask(free);
      const thoughts = ids.indexOf(end);
      const begin = ids.indexOf(after, thoughts);
      if (ids.slice(0, thoughts).includes(after)) met++;
      const reasoning = { begin: null, end, closing: [end] };
      const bound = await ask({ ...free, grammar, reasoning, grammarAfter: after });
      assert.deepEqual(bound.ids.slice(0, begin + 1), ids.slice(0, begin + 1));
      assert.match(spelled(bound.ids.slice(begin + 1)), /^(red|green)$/);
      // A model that may think need not: then it counts from the first token on.
      const silent = await ask({ ...free, grammar, reasoning: { ...reasoning, begin: 43 }, grammarAfter: after });
      const first = ids.indexOf(after);
      assert.deepEqual(silent.ids.slice(0, first + 1), ids.slice(0, first + 1));
      assert.match(spelled(silent.ids.slice(first + 1)), /^(red|green)$/);
    }
    assert.ok(met > 0, "the token comes within some thoughts");
  });

  test("an answer is of one grammar behind a token that comes first, and of another one else", async () => {
    const after = 40;
    const bound = {
      grammar: choiceGrammar(["red", "green"]),
      grammarElse: choiceGrammar(["one", "two"]),
      maxTokens: 20,
    };
    const reasoning = { begin: 43, end: 41, closing: [41] };
    for (const bias of [-100, 100]) {
      for (const thinks of [undefined, reasoning, { ...reasoning, begin: null, budget: 2 }]) {
        const sampling = { ...hot(3), logitBias: [{ token: after, bias }] };
        const { ids, last } = await ask({ ...bound, grammarAfter: after, reasoning: thinks, sampling });
        const answer = ids.slice(ids.indexOf(41) + 1);
        const isMarked = answer[0] === after;
        assert.equal(isMarked, bias > 0);
        assert.match(spelled(isMarked ? answer.slice(1) : answer), isMarked ? /^(red|green)$/ : /^(one|two)$/);
        assert.equal(last.type === "finished" && last.reason, "stop");
      }
    }
  });

  test("sequences without a grammar draw the same tokens beside such with one", async () => {
    const free = { maxTokens: 60, stopTokens: [], sampling: hot(9) };
    const alone = await ask(free);
    const [beside] = await Promise.all([
      ask(free),
      ...[1, 2].map((seed) => ask({ grammar: schemaGrammar(SCHEMA), maxTokens: 80, sampling: hot(seed) })),
    ]);
    assert.deepEqual(beside.ids, alone.ids);
  });

  test("an answer is the same alone and in company", async () => {
    const bound = { grammar: schemaGrammar(SCHEMA), maxTokens: 70, sampling: hot(4), topLogprobs: 1 };
    const alone = await ask(bound);
    const [together] = await Promise.all([
      ask(bound),
      ask({ maxTokens: 50, stopTokens: [] }),
      ask({ ...bound, maxTokens: 90 }),
    ]);
    assert.deepEqual(together.ids, alone.ids);
    for (const { logprob } of alone.tokens) assert.ok(logprob === undefined || logprob <= 0);
  });

  /** Thoughts end with the token that the model draws on its own at some place. */
  async function thoughts(): Promise<{ free: readonly number[]; end: number; at: number }> {
    const { ids } = await ask({ maxTokens: 40, stopTokens: [], sampling: hot(21) });
    const at = ids.findIndex((id, place) => place >= 12 && ids.indexOf(id) === place);
    return { free: ids, end: ids[at], at };
  }

  test("a grammar begins behind the thoughts, which are as they would be without it", async () => {
    const { free, end, at } = await thoughts();
    const reasoning: Reasoning = { begin: null, end, closing: [end] };
    const { ids } = await ask({ grammar: choiceGrammar(["yes", "no"]), reasoning, maxTokens: 60, sampling: hot(21) });
    assert.deepEqual(ids.slice(0, at + 1), free.slice(0, at + 1));
    assert.ok(["yes", "no"].includes(spelled(ids.slice(at + 1))));
  });

  test("thoughts beyond their budget are closed, and what comes then is bound only by the grammar", async () => {
    const { free, end } = await thoughts();
    const closing = [10, end, 11];
    for (const budget of [0, 1, 7]) {
      const reasoning: Reasoning = { begin: null, end, budget, closing };
      const sampling = { ...hot(21), frequencyPenalty: 0 };
      const open = await ask({ reasoning, maxTokens: 40, stopTokens: [], sampling });
      assert.deepEqual(open.ids.slice(0, budget + 3), [...free.slice(0, budget), ...closing]);
      assert.equal(open.ids.length, 40);
      const bound = await ask({ reasoning, grammar: choiceGrammar(["yes"]), maxTokens: 40, sampling });
      assert.equal(spelled(bound.ids.slice(budget + 3)), "yes");
    }
  });

  test("a model that may think need not", async () => {
    const { end } = await thoughts();
    const grammar = choiceGrammar(["yes", "no"]);
    const reasoning = { begin: 7, end, closing: [end] };
    const bias = (token: number) => ({ ...hot(21), logitBias: [{ token, bias: 1000 }] });
    const without = await ask({
      grammar,
      reasoning,
      maxTokens: 60,
      sampling: { ...hot(21), logitBias: [{ token: 7, bias: -1000 }] },
    });
    assert.ok(["yes", "no"].includes(spelled(without.ids)));
    const once = await ask({ grammar, reasoning: { ...reasoning, budget: 4 }, maxTokens: 60, sampling: bias(7) });
    assert.equal(once.ids[0], 7);
    assert.ok(["yes", "no"].includes(spelled(once.ids.slice(6))));
  });

  test("thoughts that were overrun leave no trace in penalties", async () => {
    const { free, end, at } = await thoughts();
    const sampling = { ...hot(21), frequencyPenalty: 0.5, presencePenalty: 0.5 };
    const budget = 9;
    const reasoning: Reasoning = { begin: null, end: 318, budget, closing: [end] };
    const paused = await ask({ reasoning, maxTokens: 30, stopTokens: [], sampling });
    // The same tokens given one after the other: evicting sequences never run ahead.
    const stepping = await ask({
      reasoning,
      maxTokens: 30,
      stopTokens: [],
      sampling,
      kvCache: { policy: "dynamickv", budget: 200, decodeInterval: 1000 },
    });
    assert.deepEqual(paused.ids, stepping.ids);
    assert.ok(free.length > at);
  });

  test("aborts and ends give everything back", async () => {
    const grammar = schemaGrammar({ type: "array", items: { type: "string" } });
    const generation = engine.generate(request(prompt, { grammar, maxTokens: 200, sampling: hot(2) }));
    for await (const event of generation.events) if (event.type === "tokens") generation.abort();
    const waiting = engine.generate(request(prompt, { grammar: choiceGrammar(["a"]), maxTokens: 5 }));
    waiting.abort();
    assert.equal((await collect(waiting)).last.type, "finished");
    const stats = await engine.stats();
    assert.deepEqual([stats.running, stats.waiting, stats.blocksUsed], [0, 0, 0]);
  });

  test("the engine ends", () => engine.close());
}
