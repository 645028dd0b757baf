import assert from "node:assert/strict";
import { extentLines, probedSeconds } from "../../src/cli/comparison_extent.ts";
import { estimateSeconds } from "../../src/eval/comparison/estimate.ts";
import type { Question } from "../../src/eval/suites/question.ts";
import { FakeEngine } from "../support/fake_engine.ts";
import { fakeText, TOKEN } from "../support/fake_text.ts";

const question = (task: string, prompt = "x") => ({ task, length: 1024, prompt }) as Question;
const QUESTIONS = [question("needle"), question("needle"), question("code")];

Deno.test("A comparison begins with what it is about to ask, how long that takes, and a warning beyond half an hour", () => {
  assert.deepEqual(extentLines(QUESTIONS, 4800, 1800), [
    "Asking 3 questions of 2 tasks: 4,800 answers, about 30 min",
  ]);
  const [line, warning] = extentLines([question("code")], 2, 1801);
  assert.equal(line, "Asking 1 question of 1 task: 2 answers, about 31 min");
  assert.match(warning, /--samples.* goes on where it was/);
  assert.deepEqual(extentLines(QUESTIONS, 6, null), ["Asking 3 questions of 2 tasks: 6 answers"]);
});

Deno.test("The time is that of the answers, by the length of their prompts", () => {
  // One and a half times a prompt of four probes, for each of ten answers.
  assert.equal(estimateSeconds({ answers: 10, promptTokens: 1024 }, 2), 10 * 1.5 * 4 * 2);
});

Deno.test("The beginning of a question is read to find out", async () => {
  const engine = new FakeEngine({ script: () => ({ tokens: [TOKEN.end] }), model: { contextLength: 4096 } });
  const seconds = await probedSeconds({ engine, text: fakeText }, [question("needle", "x".repeat(1000))], 3);
  assert.ok(seconds > 0);
  assert.equal(engine.requests[0].prompt.length, 256);
});
