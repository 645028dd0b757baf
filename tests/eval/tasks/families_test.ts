import assert from "node:assert/strict";
import {
  generateTask,
  TASK_FAMILIES,
  TASK_FAMILY_NAMES,
  type TaskFamilyName,
} from "../../../src/eval/tasks/families.ts";
import type { TaskRequest } from "../../../src/eval/tasks/task.ts";
import { OBJECTS } from "../../../src/eval/tasks/words.ts";

/** Words and marks: near enough to tokens, and independent of any model. */
const countTokens = (text: string) => text.match(/[A-Za-z]+|\d|[^\sA-Za-z\d]|\n/g)?.length ?? 0;

function sampleOf(family: TaskFamilyName, request: Partial<TaskRequest> = {}) {
  return generateTask(family, { length: 512, seed: 1, split: "evaluation", countTokens, ...request });
}

Deno.test("The same request gives the same sample, another seed another one", () => {
  for (const family of TASK_FAMILY_NAMES) {
    assert.deepEqual(sampleOf(family), sampleOf(family));
    assert.notEqual(sampleOf(family, { seed: 2 }).prompt, sampleOf(family).prompt);
  }
});

Deno.test("A prompt has the wanted number of tokens, less a sentence at most", () => {
  for (const family of TASK_FAMILY_NAMES) {
    for (const length of [256, 1000, 4096, 16_384]) {
      for (const seed of [0, 1, 2, 3, 4]) {
        const tokens = countTokens(sampleOf(family, { length, seed }).prompt);
        assert.ok(tokens <= length && tokens > length - 30, `${family} at ${length}: ${tokens} tokens`);
      }
    }
  }
});

Deno.test("The document of every question holds its answer", () => {
  for (const family of TASK_FAMILY_NAMES) {
    for (let seed = 0; seed < 50; seed++) {
      const { prompt, answers, reply, followUps } = sampleOf(family, { seed });
      for (const question of [{ answers, reply }, ...followUps]) {
        for (const answer of question.answers) {
          assert.ok(question.reply.includes(answer), `${family}: the reply lacks ${answer}`);
          // A summary leaves sentences out, so each of its own is looked for.
          for (const part of answer.split(/(?<=[.:]) /)) assert.ok(prompt.includes(part), `${family}: no ${part}`);
        }
      }
    }
  }
});

Deno.test("An answer's prefix begins the reply without giving anything away", () => {
  for (const family of TASK_FAMILY_NAMES) {
    for (let seed = 0; seed < 50; seed++) {
      const { answers, reply, answerPrefix, followUps } = sampleOf(family, { seed });
      for (const question of [{ answers, reply, answerPrefix }, ...followUps]) {
        const begun = question.answerPrefix;
        assert.ok(question.reply.startsWith(begun) && begun !== "", `${family}: "${begun}" of "${question.reply}"`);
        for (const answer of question.answers) assert.ok(!begun.includes(answer), `${family}: ${begun}`);
      }
    }
  }
});

Deno.test("Depth moves the fact from the start of the document to its end", () => {
  for (const family of TASK_FAMILY_NAMES.filter((name) => !["few-shot", "multi-document-qa"].includes(name))) {
    const place = (depth: number) => {
      const { prompt, reply } = sampleOf(family, { length: 2048, depth });
      return prompt.indexOf(reply.split(". ")[0]) / prompt.length;
    };
    assert.ok(place(0) < 0.1, `${family} at depth 0: ${place(0)}`);
    assert.ok(place(0.5) > 0.3 && place(0.5) < 0.7, `${family} at depth 0.5: ${place(0.5)}`);
    assert.ok(place(1) > 0.85, `${family} at depth 1: ${place(1)}`);
  }
});

Deno.test("Nothing that a document says of whom it is asked is said twice", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { prompt, followUps, answers } = sampleOf("key-value", { seed, length: 2048 });
    const codes = [...prompt.matchAll(/The code of (\w+ \w+) is (\d+)\./g)];
    assert.equal(new Set(codes.map(([, person]) => person)).size, codes.length);
    assert.equal(codes.length, followUps.length + 1);
    const asked = /What is the code of (\w+ \w+)\?/.exec(prompt)![1];
    assert.deepEqual(codes.filter(([, person]) => person === asked).map(([, , code]) => code), answers);
  }
});

Deno.test("The examples of few-shot samples agree, and show every kind that is asked for under another adjective", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { prompt, answers } = sampleOf("few-shot", { seed });
    const examples = [...prompt.matchAll(/A (\w+ (\w+)) belongs to group (\w+)\./g)];
    const groups = new Map<string, string>();
    for (const [, , noun, group] of examples) {
      assert.equal(groups.get(noun) ?? group, group);
      groups.set(noun, group);
    }
    const [, asked, noun] = /does a (\w+ (\w+)) belong\?/.exec(prompt)!;
    assert.ok((OBJECTS as readonly string[]).includes(noun));
    assert.deepEqual([groups.get(noun)], answers);
    assert.ok(examples.every(([, thing]) => thing !== asked));
  }
});

Deno.test("A variable chain can be followed to its number", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { prompt, answers } = sampleOf("variable-chain", { seed });
    const holds = new Map([...prompt.matchAll(/The (\w+ \w+) (?:holds number|copies the) (\w+(?: \w+)?)\./g)]
      .map(([, box, what]) => [box, what]));
    let value = /Which number does the (\w+ \w+) hold\?/.exec(prompt)![1];
    while (holds.has(value)) value = holds.get(value)!;
    assert.deepEqual([value], answers);
  }
});

Deno.test("No two boxes of variable chains share an adjective or a noun", () => {
  for (const split of ["training", "evaluation"] as const) {
    for (let seed = 0; seed < 50; seed++) {
      const { prompt } = sampleOf("variable-chain", { seed, split, length: 4096 });
      const boxes = new Set([...prompt.matchAll(/The (\w+ \w+) (?:holds number|copies the)/g)].map(([, box]) => box));
      const words = [...boxes].flatMap((box) => box.split(" "));
      assert.ok(boxes.size >= 20);
      assert.equal(new Set(words).size, words.length, `seed ${seed}: ${words}`);
    }
  }
});

Deno.test("A prompt that is too short for its facts is refused with the missing tokens", () => {
  assert.throws(
    () => sampleOf("summarisation", { length: 40 }),
    /A prompt of 40 tokens has no room.*expected \d+ more/,
  );
});

Deno.test("Every family of LongBench's six categories is there", () => {
  assert.deepEqual(
    [...new Set(Object.values(TASK_FAMILIES).map(({ category }) => category))].toSorted(),
    ["code", "few-shot", "multi-document QA", "single-document QA", "summarisation", "synthetic"],
  );
});
