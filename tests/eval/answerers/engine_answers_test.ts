import assert from "node:assert/strict";
import type { Answer } from "../../../src/eval/answerers/answers.ts";
import { type Contender, contendersOf } from "../../../src/eval/comparison/contender.ts";
import { engineAnswerer, type EngineAnswersOptions } from "../../../src/eval/answerers/engine_answers.ts";
import type { Question } from "../../../src/eval/suites/question.ts";
import { startTestEngine } from "../../support/engine.ts";
import { FakeEngine, likelyLogits } from "../../support/fake_engine.ts";
import { byteTokens, fakeText, TOKEN } from "../../support/fake_text.ts";

const CONTEXT = "Ann has a dog. Bob has a cat. Cid has a cow. ".repeat(8);
const QUESTION: Question = {
  task: "pets",
  length: 400,
  index: 3,
  prompt: `${CONTEXT}Who has the cat?`,
  answerStart: CONTEXT.length + "Who has the cat?".length,
  questionStart: CONTEXT.length,
  maxTokens: 12,
  score: (answer) => answer === "Bob" ? 1 : 0,
};
const NEXT = { text: "</s>And the cow?", maxTokens: 9, score: (answer: string) => answer === "Cid" ? 1 : 0 };
const CONTENDERS = contendersOf(["snapkv"], [64]);

function answer(
  engine: FakeEngine,
  mode: EngineAnswersOptions["mode"],
  question: Question,
  contenders: readonly Contender[] = CONTENDERS,
) {
  // The fake tokenizer knows no special tokens in texts.
  const text: typeof fakeText = {
    ...fakeText,
    encode: (text, options) =>
      text.startsWith("</s>")
        ? Promise.resolve(Uint32Array.of(TOKEN.end, ...byteTokens(text.slice(4))))
        : fakeText.encode(text, options),
  };
  return engineAnswerer({ engine, text }, { mode, parseChoice: (choice) => choice })(question, contenders);
}

const tokensOf = (text: string) => [...byteTokens(text), TOKEN.end];

Deno.test("query-agnostic: the context is compressed, the question fed behind it, and the answers are compared behind that", async () => {
  const engine = new FakeEngine({
    script: ({ kvCache }) => ({
      tokens: tokensOf(kvCache.policy === "full" ? "Bob" : "Ann"),
      resumed: ({ continuation }) => ({ tokens: [], logits: likelyLogits([...continuation.tokens], continuation) }),
    }),
  });
  const [full, snapkv] = await answer(engine, "query-agnostic", QUESTION);
  const asked = "Who has the cat?";
  for (const { request, resumptions } of engine.generations) {
    const { prompt, continuation } = request;
    assert.deepEqual([...prompt, ...continuation!.tokens], [TOKEN.begin, ...byteTokens(QUESTION.prompt)]);
    assert.equal(continuation!.tokens.length, asked.length);
    assert.deepEqual(resumptions, [{
      rewind: true,
      continuation: { tokens: Uint32Array.from([...byteTokens(asked), ...tokensOf("Bob")]), logitsFrom: asked.length },
      maxTokens: 0,
    }]);
  }
  assert.deepEqual([full.score, snapkv.score], [1, 0]);
  assert.deepEqual([snapkv.promptTokens, snapkv.agreement, snapkv.divergence], [1 + CONTEXT.length, 1, 0]);
  assert.deepEqual(engine.aborts.length, 2, "nothing is left in memory");
});

Deno.test("query-agnostic: a question that cannot be told from its context is refused", async () => {
  const engine = new FakeEngine({ script: () => ({ tokens: [] }) });
  await assert.rejects(
    answer(engine, "query-agnostic", { ...QUESTION, questionStart: undefined }),
    /^Error: The question of pets cannot be told from what comes before it$/,
  );
});

Deno.test("two-turn: the second question follows each contender's own first answer, and both are scored", async () => {
  // The full cache ends its first answer, the other runs into the limit.
  const first = { full: tokensOf("Bob"), snapkv: byteTokens("Bob and Bob.") };
  const second = { full: tokensOf("Cid"), snapkv: tokensOf("Cow") };
  const engine = new FakeEngine({
    script: ({ kvCache }) => {
      const name = kvCache.policy as "full" | "snapkv";
      return {
        tokens: first[name],
        resumed: ({ rewind, continuation }) =>
          rewind
            // Fed the full cache's answers, the other takes nothing of the second for likely.
            ? {
              tokens: [],
              logits: likelyLogits(
                [...continuation.tokens].slice(0, name === "full" ? Infinity : first.full.length),
                continuation,
              ),
            }
            : { tokens: second[name] },
      };
    },
  });
  const answers = await answer(engine, "two-turn", { ...QUESTION, followUp: NEXT });
  assert.deepEqual(answers.map(({ task, policy, answer, score }) => [task, policy, answer, score]), [
    ["pets", "full", "Bob", 1],
    ["pets, turn 2", "full", "Cid", 1],
    ["pets", "snapkv", "Bob and Bob.", 0],
    ["pets, turn 2", "snapkv", "Cow", 0],
  ]);
  assert.deepEqual(answers.map(({ agreement }) => agreement), [1, 1, 1, 0]);
  const question = byteTokens("And the cow?");
  const [full, snapkv] = engine.generations.map(({ resumptions }) => resumptions);
  assert.deepEqual([...full[0].continuation.tokens], question, "its answer has ended already");
  assert.deepEqual([...snapkv[0].continuation.tokens], [TOKEN.end, ...question]);
  for (const [turn, replay] of [full, snapkv]) {
    assert.equal(turn.rewind, false);
    assert.equal(turn.maxTokens, NEXT.maxTokens);
    assert.deepEqual([...replay.continuation.tokens], [...first.full, ...question, ...second.full]);
    assert.deepEqual([replay.rewind, replay.continuation.logitsFrom], [true, 1]);
  }
});

Deno.test("An answer of a single token is the prompt's work: there is nothing to compare", async () => {
  const engine = new FakeEngine({ script: () => ({ tokens: [TOKEN.end] }) });
  const answers = await answer(engine, "query-aware", QUESTION);
  assert.deepEqual(answers.map(({ agreement, divergence }) => [agreement, divergence]), [[null, null], [null, null]]);
  assert.deepEqual(engine.generations.map(({ resumptions }) => resumptions), [[], []]);
});

Deno.test("A failure ends what runs beside it", async () => {
  const engine = new FakeEngine({
    script: ({ kvCache }) =>
      kvCache.policy === "full" ? { tokens: [], failure: "GPU lost" } : { tokens: tokensOf("Bob") },
  });
  await assert.rejects(answer(engine, "query-aware", QUESTION), /The generation failed: GPU lost/);
  await engine.idle();
});

Deno.test("With a model: a cache that keeps everything agrees with the full one in every mode, a small one does not", async () => {
  const layers = 3;
  const engine = await startTestEngine({ architecture: "llama", seed: 9, layers }, {
    maxBatch: 8,
    kvMemory: 2 ** 25,
  });
  try {
    for (const mode of ["query-aware", "query-agnostic", "two-turn"] as const) {
      const followUp = mode === "two-turn" ? NEXT : undefined;
      const answers = await engineAnswerer({ engine, text: fakeText }, { mode, parseChoice: (choice) => choice })(
        { ...QUESTION, followUp },
        contendersOf(["snapkv"], [400, 16]),
      );
      const of = (budget: number | null) => answers.filter((answer: Answer) => answer.budget === budget);
      assert.equal(of(400).length, mode === "two-turn" ? 2 : 1);
      of(400).forEach(({ agreement, divergence, answer }, turn) => {
        assert.equal(agreement, 1, mode);
        assert.ok(divergence! < 1e-8, `${mode}: ${divergence}`);
        assert.equal(answer, of(null)[turn].answer);
      });
      for (const { divergence, rowsPerLayer } of of(16)) {
        assert.ok(divergence! > 1e-4, `${mode}: ${divergence}`);
        assert.deepEqual(rowsPerLayer, Array(layers).fill(16));
      }
    }
    const { running, blocksUsed } = await engine.stats();
    assert.deepEqual([running, blocksUsed], [0, 0]);
  } finally {
    await engine.close();
  }
});
