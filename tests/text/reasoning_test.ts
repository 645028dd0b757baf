import assert from "node:assert/strict";
import { reasoningMarks, ReasoningSplitter, type ReasoningStart, reasoningStart } from "../../src/text/reasoning.ts";

const MARKS = reasoningMarks("{{ content.split('</think>') }}")!;

function split(pieces: readonly string[], start: ReasoningStart, marks = MARKS as typeof MARKS | null) {
  const splitter = new ReasoningSplitter(marks, start);
  const parts = [...pieces.map((piece) => splitter.push(piece)), splitter.flush()];
  return [parts.map(({ reasoning }) => reasoning).join(""), parts.map(({ content }) => content).join("")];
}

Deno.test("templates that know marks of thoughts are those of models that think", () => {
  assert.deepEqual(MARKS, { begin: "<think>", end: "</think>" });
  assert.deepEqual(reasoningMarks("[/THINK]"), { begin: "[THINK]", end: "[/THINK]" });
  assert.equal(reasoningMarks("{{ message.content }}"), null);
});

Deno.test("the prompt says whether thoughts have begun", () => {
  assert.equal(reasoningStart("<|im_start|>assistant\n<think>\n", MARKS), "open");
  assert.equal(reasoningStart("<|im_start|>assistant\n<think>\n\n</think>\n\n", MARKS), "closed");
  assert.equal(reasoningStart("<|im_start|>assistant\n", MARKS), "possible");
});

Deno.test("thoughts and answers are told apart, in whatever pieces they come", () => {
  const cases: [answer: string, start: ReasoningStart, reasoning: string, content: string][] = [
    ["<think>\nHm, <b>.\n</think>\n\nYes </think>!", "possible", "Hm, <b>.", "Yes </think>!"],
    ["\n<think>a</think>b", "possible", "a", "b"],
    ["Just this.", "possible", "", "Just this."],
    ["  <thin air", "possible", "", "  <thin air"],
    ["Hm. \n</think>\nYes", "open", "Hm.", "Yes"],
    ["never ending </thin", "open", "never ending </thin", ""],
    ["<think>x</think>", "closed", "", "<think>x</think>"],
    ["<think></think>\n\n", "possible", "", ""],
    ["\n\n", "open", "", ""],
  ];
  for (const [answer, start, reasoning, content] of cases) {
    assert.deepEqual(split([answer], start), [reasoning, content], answer);
    assert.deepEqual(split([...answer], start), [reasoning, content], answer);
    for (let cut = 1; cut < answer.length; cut++) {
      assert.deepEqual(
        split([answer.slice(0, cut), answer.slice(cut)], start),
        [reasoning, content],
        `${answer} at ${cut}`,
      );
    }
  }
});

Deno.test("what a model without thoughts writes is its answer", () => {
  assert.deepEqual(split(["<think>x</think>", "y"], "possible", null), ["", "<think>x</think>y"]);
});
