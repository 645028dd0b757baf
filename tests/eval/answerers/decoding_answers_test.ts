import assert from "node:assert/strict";
import { contendersOf } from "../../../src/eval/comparison/contender.ts";
import { decodingAnswerer } from "../../../src/eval/answerers/decoding_answers.ts";
import type { Question } from "../../../src/eval/suites/question.ts";
import { parseKvCacheChoice } from "../../support/policies.ts";
import { startTestEngine } from "../../support/engine.ts";
import { fakeText } from "../../support/fake_text.ts";

const ASKED = `${"Ann has a dog. Bob has a cat. Cid has a cow. ".repeat(8)}Who has the cat?`;
const QUESTION: Question = {
  task: "pets",
  length: 400,
  index: 3,
  prompt: `${ASKED} The owner is`,
  answerStart: ASKED.length,
  maxTokens: 12,
  score: (answer) => answer.length > 0 ? 0.5 : 0,
};

Deno.test("decoding: a budget for everything agrees with the full cache, a small one evicts all the prompt beyond it", async () => {
  const layers = 3;
  const engine = await startTestEngine({ architecture: "llama", seed: 9, layers }, { maxBatch: 8, kvMemory: 2 ** 25 });
  const answer = decodingAnswerer({ engine, text: fakeText }, {
    mode: "decoding",
    parseChoice: (choice) => parseKvCacheChoice(choice, engine.defaultKvCache),
  });
  try {
    const answers = await answer(QUESTION, contendersOf(["snapkv", "keydiff"], ["100%", 32]));
    const { length } = await fakeText.encode(QUESTION.prompt);
    const [full, ...rivals] = answers;
    assert.deepEqual([full.policy, full.agreement, full.divergence, full.score], ["full", 1, 0, 0.5]);
    assert.deepEqual(full.rowsPerLayer, Array(layers).fill(length));
    for (const { policy, budget, promptTokens, agreement, divergence, rowsPerLayer, answer } of rivals) {
      assert.equal(promptTokens, length);
      if (budget === 32) {
        // The first 16 tokens are the prompt, and left alone.
        assert.deepEqual(rowsPerLayer, Array(layers).fill(16 + 32), policy);
        assert.ok(divergence! > 1e-4, `${policy}: ${divergence}`);
      } else {
        assert.ok(agreement === 1 && divergence! < 1e-8, `${policy}: ${agreement} ${divergence}`);
        assert.equal(answer, full.answer);
      }
    }
    await assert.rejects(
      answer(QUESTION, contendersOf(["streaming"], [32])),
      /cannot evict while tokens are generated/,
    );
    const { running, blocksUsed } = await engine.stats();
    assert.deepEqual([running, blocksUsed], [0, 0]);
  } finally {
    await engine.close();
  }
});

Deno.test("long-answer: rows of a long answer are evicted to the budget, and every row of the prompt stays", async () => {
  const layers = 2;
  const engine = await startTestEngine({ architecture: "llama", seed: 9, layers, context: 2048 }, {
    maxBatch: 8,
    kvMemory: 2 ** 25,
  });
  const answer = decodingAnswerer({ engine, text: fakeText }, {
    mode: "long-answer",
    parseChoice: (choice) => parseKvCacheChoice(choice, engine.defaultKvCache),
  });
  try {
    const prompt = (await fakeText.encode(ASKED)).length;
    const begun = (await fakeText.encode("\n The owner is", { addSpecial: false })).length;
    const [full, whole, small] = await answer(QUESTION, contendersOf(["snapkv"], ["100%", "50%"]));
    const all = prompt + 1024 + begun;
    assert.deepEqual(full.rowsPerLayer, Array(layers).fill(all));
    assert.ok(whole.agreement === 1 && whole.divergence! < 1e-8);
    assert.deepEqual(small.rowsPerLayer, Array(layers).fill(prompt + Math.round((1024 + begun) / 2)));
    assert.ok(small.divergence! > 1e-4);
    assert.equal(small.promptTokens, all);
  } finally {
    await engine.close();
  }
});
