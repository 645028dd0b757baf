import assert from "node:assert/strict";
import {
  describeToken,
  keptByLayer,
  keptInside,
  keptShares,
  levelOf,
  type Positions,
  tokensOf,
} from "../../src/page/kept_rows.ts";

/** Five tokens; the heads of layer 0 agree, those of layer 1 do not. */
const POSITIONS: Positions = [[[0, 4]], [[0, 1], [0, 3]]];
const TOKENS = ["The", " fox", " sl", "ept", "."];

Deno.test("keptShares() is the part of all heads that keeps each token, or of those of one layer", () => {
  assert.deepEqual([...keptShares(POSITIONS, 5)], [1, 0.25, 0, 0.25, 0.5]);
  assert.deepEqual([...keptShares(POSITIONS, 5, 0)], [1, 0, 0, 0, 1]);
  assert.deepEqual([...keptShares(POSITIONS, 5, 1)], [1, 0.5, 0, 0.5, 0]);
});

Deno.test("levelOf() parts shares into quarters, and nothing is a level of its own", () => {
  assert.deepEqual([0, 0.01, 0.25, 0.26, 0.5, 0.75, 0.76, 1].map(levelOf), [0, 1, 1, 2, 2, 3, 4, 4]);
  // Three thirds of a quarter are a quarter.
  assert.equal(levelOf(0.25 / 3 + 0.25 / 3 + 0.25 / 3), 1);
});

Deno.test("describeToken() says in words who keeps a token", () => {
  assert.deepEqual(keptByLayer(POSITIONS, 1), [0, 0.5]);
  assert.equal(
    describeToken(POSITIONS, TOKENS, 1),
    'Token 2 of 5, " fox": kept in 1 of 2 layers, by 25 % of all heads.',
  );
  assert.equal(describeToken(POSITIONS, TOKENS, 2), 'Token 3 of 5, " sl": no layer keeps it.');
  assert.match(
    describeToken(POSITIONS, ["", ...TOKENS.slice(1)], 0),
    /^Token 1 of 5, a part of a character: kept in 2/,
  );
});

Deno.test("tokensOf() finds the tokens that a text has a part in", () => {
  assert.deepEqual(tokensOf(TOKENS, "fox slept"), { start: 1, end: 4 });
  assert.deepEqual(tokensOf(TOKENS, "The"), { start: 0, end: 1 });
  assert.deepEqual(tokensOf(TOKENS, "The fox slept."), { start: 0, end: 5 });
  assert.equal(tokensOf(TOKENS, "bear"), null);
});

Deno.test("keptInside() compares a part with the rest", () => {
  assert.deepEqual(keptInside([1, 0.5, 0, 0], 0, 2), { inside: 0.75, outside: 0 });
  assert.deepEqual(keptInside([1, 1], 0, 2), { inside: 1, outside: 0 });
});
