/** @file How the time is shared among the stages. */
import assert from "node:assert/strict";
import { STAGES } from "../../../bench/gpu/results.ts";
import { secondsFor } from "../../../bench/gpu/shares.ts";

Deno.test("stages that take all that they get take the whole time together", () => {
  let left = 480;
  for (const stage of STAGES) {
    const seconds = secondsFor(stage, left);
    assert.ok(seconds > 0 && seconds <= left, `${stage} gets ${seconds} of ${left} s`);
    left -= seconds;
  }
  assert.ok(Math.abs(left) < 1e-9);
});

Deno.test("what a stage leaves over goes to those behind it", () => {
  const strict = secondsFor("decode", 300);
  assert.ok(secondsFor("decode", 400) > strict);
  assert.equal(secondsFor("peers", 123), 123);
});
