import assert from "node:assert/strict";
import { RunPace } from "../../../src/routes/generation/run_pace.ts";

/** Tokens that came at milliseconds after the arrival of their request, at 100. */
function paceOf(...tokens: { at: number; count: number }[]): RunPace {
  let now = 0;
  const pace = new RunPace(100, () => now);
  for (const { at, count } of tokens) {
    now = 100 + at;
    pace.tokens(count);
  }
  return pace;
}

Deno.test("RunPace measures the first token from the arrival, and the speed of those behind the first ones", () => {
  const pace = paceOf({ at: 500, count: 2 }, { at: 1000, count: 4 }, { at: 2500, count: 4 });
  assert.equal(pace.firstTokenSeconds, 0.5);
  // Eight tokens in two seconds.
  assert.equal(pace.tokensPerSecond, 4);
});

Deno.test("RunPace knows no time where there was no token, and no speed where none followed", () => {
  assert.deepEqual([paceOf().firstTokenSeconds, paceOf().tokensPerSecond], [null, null]);
  const one = paceOf({ at: 250, count: 3 });
  assert.deepEqual([one.firstTokenSeconds, one.tokensPerSecond], [0.25, null]);
});

Deno.test("RunPace tells no speed of tokens that came at nearly one time, however many they were", () => {
  assert.equal(paceOf({ at: 250, count: 1 }, { at: 250.03, count: 1 }).tokensPerSecond, null);
  assert.equal(paceOf({ at: 250, count: 1 }, { at: 251, count: 16 }, { at: 349, count: 1 }).tokensPerSecond, null);
  // One token can take long enough to be timed.
  assert.equal(paceOf({ at: 250, count: 1 }, { at: 750, count: 1 }).tokensPerSecond, 2);
});
