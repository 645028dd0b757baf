import assert from "node:assert/strict";
import { splitOf } from "../../../src/eval/tasks/split.ts";
import { generateTask, TASK_FAMILY_NAMES } from "../../../src/eval/tasks/families.ts";
import type { Split } from "../../../src/eval/tasks/split.ts";
import { ADJECTIVES, FIRST_NAMES, LAST_NAMES, OBJECTS } from "../../../src/eval/tasks/words.ts";

const PERSON = new RegExp(`\\b(?:${FIRST_NAMES.join("|")}) (?:${LAST_NAMES.join("|")})\\b`, "g");
const THING = new RegExp(`\\b(?:${ADJECTIVES.join("|")})[ _](?:${OBJECTS.join("|")})\\b`, "g");
// Codes, magic numbers and numbers of passages; the small numbers of code samples are no answers.
const NUMBER = /\b\d{3,5}\b/g;

/** Every person, thing and number in samples of all families. */
function namesIn(split: Split, seeds: number): Set<string> {
  const names = new Set<string>();
  for (const family of TASK_FAMILY_NAMES) {
    for (let seed = 0; seed < seeds; seed++) {
      const countTokens = (text: string) => text.split(/\s+/).length;
      const { prompt, reply, followUps } = generateTask(family, { length: 1024, seed, split, countTokens });
      const text = JSON.stringify([prompt, reply, followUps]).replaceAll(/(?<=[a-z])_(?=[a-z])/g, " ");
      for (const pattern of [PERSON, THING, NUMBER]) {
        for (const [name] of text.matchAll(pattern)) names.add(name);
      }
    }
  }
  return names;
}

Deno.test("No person, thing or number of an evaluation sample occurs in training samples", () => {
  const training = namesIn("training", 60);
  const evaluation = namesIn("evaluation", 60);
  assert.ok(training.size > 2000 && evaluation.size > 500, `${training.size} and ${evaluation.size} names`);
  assert.deepEqual([...evaluation].filter((name) => training.has(name)), []);
});

Deno.test("Each name is in one half, about a fifth of them in evaluation", () => {
  const people = FIRST_NAMES.flatMap((first) => LAST_NAMES.map((last) => `${first} ${last}`));
  const kept = people.filter((name) => splitOf(name) === "evaluation").length / people.length;
  assert.ok(kept > 0.17 && kept < 0.23, String(kept));
});

Deno.test("Every object has things enough of its kind in both halves for few-shot samples", () => {
  for (const noun of OBJECTS) {
    const things = ADJECTIVES.map((adjective) => splitOf(`${adjective} ${noun}`));
    for (const split of ["training", "evaluation"]) assert.ok(things.filter((half) => half === split).length > 1, noun);
  }
});

Deno.test("Words occur once in their lists", () => {
  for (const list of [FIRST_NAMES, LAST_NAMES, ADJECTIVES, OBJECTS]) assert.equal(new Set(list).size, list.length);
});
