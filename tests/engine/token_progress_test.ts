import assert from "node:assert/strict";
import type { Resumption } from "../../src/contract/generation.ts";
import { TokenProgress } from "../../src/engine/token_progress.ts";
import { request } from "../support/engine.ts";

const PROMPT = [7, 8, 9];
const tokens = (...ids: number[]) => ids.map((id) => ({ id }));
const given = (...ids: number[]) => ({ tokens: Uint32Array.from(ids) });

/** Records `count` tokens, and takes in these. */
function step(progress: TokenProgress, ids: number[]) {
  progress.recorded += ids.length;
  const { drawn, end } = progress.take(tokens(...ids));
  return [drawn.map(({ id }) => id), end];
}

Deno.test("TokenProgress counts rows and positions ahead, and tokens once they are read back", () => {
  const progress = new TokenProgress(request(PROMPT, { maxTokens: 4 }));
  assert.deepEqual([progress.position, progress.remaining, progress.end], [2, 4, 4]);
  progress.recorded = 3;
  assert.deepEqual([progress.position, progress.remaining, progress.generatedRows], [5, 1, 2]);
  assert.equal(progress.isTaken, false);
  assert.deepEqual(progress.take(tokens(1, 2)), { drawn: tokens(1, 2), end: null });
  assert.deepEqual([progress.isTaken, progress.drawn], [false, 2]);
  progress.take(tokens(3));
  assert.deepEqual([progress.isTaken, progress.drawn], [true, 3]);
});

Deno.test("TokenProgress ends at a stop token or at the limit, and calls what comes after it surplus", () => {
  const stopTokens = [5];
  const stopped = new TokenProgress(request(PROMPT, { maxTokens: 9, stopTokens }));
  assert.deepEqual(step(stopped, [1, 5, 2, 5]), [[1, 5], "stop"]);
  assert.equal(stopped.drawn, 2);
  const full = new TokenProgress(request(PROMPT, { maxTokens: 3, stopTokens }));
  assert.deepEqual(step(full, [1, 2]), [[1, 2], null]);
  assert.deepEqual(step(full, [3, 5, 5]), [[3], "length"]);
  const both = new TokenProgress(request(PROMPT, { maxTokens: 2, stopTokens }));
  assert.deepEqual(step(both, [1, 5, 1]), [[1, 5], "stop"]);
});

Deno.test("TokenProgress neither reports nor stops at tokens that are given, and says whose logits are asked for", () => {
  const continuation = { ...given(5, 5, 6), logitsFrom: 2 };
  const progress = new TokenProgress(request(PROMPT, { maxTokens: 2, stopTokens: [5], continuation }));
  assert.deepEqual([progress.givenAhead, progress.remaining], [3, 5]);
  assert.deepEqual([0, 1, 2, 3].map((step) => progress.reportsLogits(step)), [false, false, true, false]);
  assert.deepEqual(step(progress, [5, 5]), [[], null]);
  assert.deepEqual([progress.givenAhead, progress.willReportLogits, progress.reportsLogits(0)], [1, true, true]);
  assert.deepEqual(step(progress, [6, 4]), [[4], null]);
  assert.deepEqual([progress.givenAhead, progress.willReportLogits, progress.drawn], [0, false, 1]);
  assert.deepEqual(step(progress, [5, 1]), [[5], "stop"]);
  // The token behind the prompt depends on no row of the cache: it has no logits to report.
  const first = new TokenProgress(request(PROMPT, { continuation: { ...given(1, 2), logitsFrom: 0 } }));
  assert.deepEqual([0, 1, 2].map((step) => first.reportsLogits(step)), [false, true, false]);
});

Deno.test("TokenProgress goes on where it paused, or behind the prompt, and says which rows are surplus", () => {
  const paused = () => {
    const progress = new TokenProgress(request(PROMPT, { maxTokens: 9, stopTokens: [5] }));
    step(progress, [1, 2, 5, 3, 3]);
    progress.pausedBy = "stop";
    return progress;
  };
  const resumption = (rewind: boolean, maxTokens: number, ...ids: number[]): Resumption => ({
    rewind,
    continuation: given(...ids),
    maxTokens,
  });
  const goesOn = paused();
  // Five were recorded, three count; the last of them is fed before what is given.
  assert.deepEqual(goesOn.resume(resumption(false, 2, 40, 41)), { token: 5, position: 6, surplusRows: 2 });
  assert.deepEqual([goesOn.recorded, goesOn.remaining, goesOn.drawn, goesOn.pausedBy], [3, 4, 0, null]);
  assert.deepEqual(step(goesOn, [40, 41, 1, 2]), [[1, 2], "length"]);

  const rewound = paused();
  assert.deepEqual(rewound.resume(resumption(true, 0, 40)), { token: 40, position: 3, surplusRows: 4 });
  assert.deepEqual([rewound.recorded, rewound.remaining], [1, 0]);
  // Nothing was read back since: what was given is what was last.
  assert.deepEqual(rewound.resume(resumption(false, 1, 41)), { token: 40, position: 4, surplusRows: 0 });
});

Deno.test("TokenProgress takes in what was on its way when it paused, and reports none of it", () => {
  const progress = new TokenProgress(request(PROMPT, { maxTokens: 2 }));
  progress.recorded = 4;
  assert.equal(progress.take(tokens(1, 2)).end, "length");
  progress.pausedBy = "length";
  assert.equal(progress.isTaken, false);
  assert.deepEqual(progress.take(tokens(3, 4)), { drawn: [], end: null });
  assert.deepEqual([progress.isTaken, progress.drawn], [true, 2]);
});
