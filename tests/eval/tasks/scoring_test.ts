import assert from "node:assert/strict";
import { scoreReply } from "../../../src/eval/tasks/scoring.ts";

Deno.test("A reply that contains one of the answers is right, in upper or lower case", () => {
  const score = (reply: string) => scoreReply({ metric: "contains", answers: ["Marlow", "the town"] }, reply);
  assert.equal(score(" Nora Feld lives in marlow."), 1);
  assert.equal(score("Nora Feld lives in Dunbar."), 0);
});

Deno.test("A summary scores by the words it shares in order, the best of the answers counting", () => {
  const score = (reply: string) => scoreReply({ metric: "rougeL", answers: ["one two three four.", "none"] }, reply);
  assert.ok(Math.abs(score("one two three four.") - 1) < 1e-6);
  assert.ok(Math.abs(score("one two.") - 2 * (0.5 * 1) / 1.5) < 1e-6);
});

Deno.test("A call scores by its similarity to the right one", () => {
  const score = (reply: string) => scoreReply({ metric: "editSimilarity", answers: ["paint(width, height)"] }, reply);
  assert.equal(score(" paint(width, height)"), 1);
  assert.ok(score("paint(width, speed)") > 0.6 && score("paint(width, speed)") < 1);
});
