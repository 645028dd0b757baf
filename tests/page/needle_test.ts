import assert from "node:assert/strict";
import { isRight, makeNeedle, NEEDLE_LENGTHS } from "../../src/page/needle.ts";

Deno.test("makeNeedle() hides its sentence where it was told to, asks for its number, and does the same again", () => {
  for (const depth of [0, 0.5, 1]) {
    const wish = { length: 1000, depth, seed: 3 };
    const needle = makeNeedle(wish);
    assert.deepEqual(makeNeedle(wish), needle);
    assert.match(needle.answer, /^\d{5}$/);
    assert.ok(needle.sentence.includes(needle.answer));
    const place = needle.prompt.indexOf(needle.sentence) / needle.prompt.length;
    assert.ok(Math.abs(place - depth) < 0.15, `${place} instead of ${depth}`);
    assert.equal(needle.prompt.split(needle.answer).length, 2, "the number is there once");
    const thing = /number for the (.+) is/.exec(needle.sentence)![1];
    assert.ok(
      needle.prompt.endsWith(`What is the magic number for the ${thing}? Answer: The magic number for the ${thing} is`),
    );
  }
  assert.notEqual(
    makeNeedle({ length: 600, depth: 0.5, seed: 1 }).answer,
    makeNeedle({ length: 600, depth: 0.5, seed: 2 }).answer,
  );
});

Deno.test("documents are about as long as they are wanted, at both ends of what can be asked for", () => {
  for (const length of [NEEDLE_LENGTHS.least, 2000, NEEDLE_LENGTHS.most]) {
    const words = makeNeedle({ length, depth: 0.5, seed: 1 }).prompt.split(" ").length;
    assert.ok(words < length && words > length / 2, `${words} words for ${length} tokens`);
  }
  assert.throws(() => makeNeedle({ length: 20, depth: 0.5, seed: 1 }), /has no room for its facts/);
});

Deno.test("an answer is right if it has the number", () => {
  const needle = makeNeedle({ length: 400, depth: 0.5, seed: 1 });
  assert.ok(isRight(needle, ` ${needle.answer}. The fox`));
  assert.ok(!isRight(needle, ` ${needle.answer.slice(0, 4)}.`));
  assert.ok(!isRight(needle, ""));
});
