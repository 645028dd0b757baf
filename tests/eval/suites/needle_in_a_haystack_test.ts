import assert from "node:assert/strict";
import { needleRecall } from "../../../src/eval/metrics/needle_recall.ts";
import { NEEDLE, needleSamples } from "../../../src/eval/suites/needle_in_a_haystack.ts";
import { promptOf } from "../../../src/eval/suites/sample.ts";

const countTokens = (text: string) => text.split(/\s+/).length;
const GRID = { lengths: [300, 1000], depths: [0, 11, 50, 100], samples: 2, seed: 3, countTokens };

Deno.test("The needle is there once, at the depth asked for, in a prompt of the length asked for", () => {
  const samples = needleSamples(GRID);
  assert.equal(samples.length, 2 * 4 * 2);
  for (const sample of samples) {
    const prompt = promptOf(sample);
    const tokens = countTokens(prompt) + sample.maxNewTokens;
    // A sentence of the generated prose has at most 13 words.
    assert.ok(tokens <= sample.length && tokens > sample.length - 14, `${tokens} of ${sample.length}`);
    assert.equal(prompt.split(NEEDLE).length, 2);
    const [before, after] = sample.context.split("<book> ")[1].split(NEEDLE);
    // To a sentence of at most 100 characters.
    const share = before.length / (before.length + after.length);
    const sentence = 100 / (before.length + after.length);
    assert.ok(Math.abs(share - sample.depth / 100) <= sentence, `${share} is not ${sample.depth} %`);
    assert.match(before, /^$|\. $/);
    assert.ok(prompt.endsWith("Question: The best thing to do in San Francisco is: \nAnswer:"));
    assert.equal(needleRecall(NEEDLE, sample.answers[0]), 1);
  }
});

Deno.test("Cells are the same for the same seed, and their samples differ in the prose", () => {
  const samples = needleSamples(GRID);
  assert.deepEqual(needleSamples(GRID), samples);
  assert.equal(new Set(samples.map(promptOf)).size, samples.length);
});

Deno.test("Prose that the user names is used, and repeated", () => {
  const [sample] = needleSamples({ ...GRID, depths: [0], prose: "Call me Ishmael. It was cold." });
  assert.ok(sample.context.split("Call me Ishmael.").length > 20);
  assert.throws(() => needleSamples({ ...GRID, prose: " " }), { message: /holds no sentence$/ });
});

Deno.test("A length that holds no prompt is refused", () => {
  assert.throws(() => needleSamples({ ...GRID, lengths: [40] }), {
    message: "A needle in a haystack does not fit into 40 tokens",
  });
});
