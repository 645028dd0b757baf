import assert from "node:assert/strict";
import adakv from "../../src/plugins/adakv.ts";
import dynamickv from "../../src/plugins/dynamickv.ts";
import full from "../../src/plugins/full.ts";
import type { LayerScores, Policy, StartedPolicy } from "../../src/policy/policy.ts";
import {
  attention,
  keyNorm,
  lookUp,
  pool,
  random,
  readAhead,
  recency,
  type Score,
  valueNorm,
} from "../../src/policy/mod.ts";
import { startPolicy } from "../../src/policy/fence.ts";
import { prefill, randomScores } from "../support/prefill.ts";
import { seededRandom } from "../../fixtures/random.ts";

const context = {
  layerCount: 6,
  kvHeadCount: 2,
  headSize: 8,
  blockSize: 16,
  messages: [],
  promptLength: 400,
  budget: 40,
};
const scores = randomScores(seededRandom(1), 6, 2 * 392);

/** DynamicKV with some of its answers replaced. */
function sabotaged(answers: Partial<StartedPolicy>): Policy {
  return {
    ...dynamickv,
    start(context, options) {
      const policy = dynamickv.start(context, options);
      return policy && { ...policy, ...answers };
    },
  };
}

function run(policy: Policy, options = {}) {
  const reasons: string[] = [];
  const started = startPolicy(policy, context, options, (reason) => reasons.push(reason));
  return { rows: started && prefill(started, scores).rows, reasons };
}

Deno.test("startPolicy() changes nothing about a policy that behaves", () => {
  const { rows, reasons } = run(dynamickv);
  assert.deepEqual(rows, prefill(dynamickv.start(context, {})!, scores).rows);
  assert.deepEqual(reasons, []);
});

Deno.test("A policy may keep all scored rows until the first sharing", () => {
  // Of 400 rows, 8 are the window's.
  assert.deepEqual(run(sabotaged({ provisionalRows: () => 392 })).reasons, []);
});

Deno.test("startPolicy() passes on that every row is to be kept", () => {
  assert.deepEqual(run(full), { rows: null, reasons: [] });
});

Deno.test("A policy that throws or returns nonsense is replaced by uniform budgets, and the reason is told once", () => {
  const allot = (change: (layers: readonly LayerScores[]) => unknown) => ({ allot: change as StartedPolicy["allot"] });
  const cases: [Partial<StartedPolicy>, RegExp][] = [
    [
      allot(() => {
        throw new Error("Out of luck");
      }),
      /^Out of luck$/,
    ],
    [allot((layers) => layers.map(() => NaN)), /layer 0 must be a whole number of rows, but is NaN/],
    [allot((layers) => layers.map(() => -1)), /layer 0 must be a whole number of rows, but is -1/],
    [allot((layers) => layers.map(() => 0.5)), /but is 0.5/],
    [allot((layers) => layers.map(({ heldRows }) => heldRows)), /add up to \d+ rows, but 192 are allowed/],
    [allot((layers) => layers.map(({ heldRows }) => heldRows + 1)), /but the layer holds/],
    [allot(() => []), /returned 0 budgets for \d layers/],
    [allot(() => undefined), /must return an array/],
    [{ provisionalRows: () => NaN }, /provisional rows of layer 0 .* but are NaN/],
    [{ provisionalRows: () => 393 }, /provisional rows of layer 0 .* up to 392, but are 393/],
    [{
      isRebalanceDue: () => {
        throw "a string";
      },
    }, /^a string$/],
  ];
  for (const [answers, reason] of cases) {
    const { rows, reasons } = run(sabotaged(answers));
    assert.deepEqual(rows, [32, 32, 32, 32, 32, 32]);
    assert.equal(reasons.length, 1);
    assert.match(reasons[0], reason);
  }
});

Deno.test("After a failure the budget is shared after every layer, so that no more is held than before", () => {
  const policy = startPolicy(sabotaged({ allot: () => Uint32Array.of() }), context, {}, () => {})!;
  const { shared } = prefill(policy, scores);
  // The first sharing, after layer 1, fails; layers 2 to 5 follow.
  assert.deepEqual(shared.map((rows) => rows.length), [2, 3, 4, 5, 6]);
  for (const rows of shared) assert.equal(rows.reduce((a, b) => a + b), 6 * 32);
});

Deno.test("A policy that fails late leaves no layer more than it holds and the sum within the budget", () => {
  const late = sabotaged({});
  const policy: Policy = {
    ...late,
    start(...given) {
      const policy = late.start(...given)!;
      return { ...policy, allot: (layers) => layers.length === 6 ? Uint32Array.of(1) : policy.allot(layers) };
    },
  };
  const { rows, reasons } = run(policy);
  assert.ok(rows!.reduce((a, b) => a + b) <= 6 * 32);
  assert.equal(reasons.length, 1);
});

Deno.test("A policy that cannot be started, or whose score is none, is replaced as well", () => {
  const failing: Policy = {
    ...dynamickv,
    start() {
      throw new Error("Not today");
    },
  };
  assert.deepEqual(run(failing), { rows: [32, 32, 32, 32, 32, 32], reasons: ["Not today"] });
  const window = attention({ window: 8 });
  const scores: [unknown, RegExp][] = [
    [undefined, /score is no list of steps that begins with a source/],
    [[], /score is no list of steps that begins with a source/],
    [[{ name: "none", window: 8 }], /no step "none" of a score: expected one of attention, attentionOfAll, recency,/],
    [
      [pool({ width: 7, by: "average" })],
      /Step 1 of the score is pool, but .* expected one of attention, attentionOfAll/,
    ],
    [
      [window, keyNorm({ window: 8 })],
      /Step 2 of the score is keyNorm, but .* expected one of sharedByHeads, valueNorm/,
    ],
    [[attention({ window: 400 })], /window must be .* from 1 to 64, but is 400/],
    [[attention({ window: 0 })], /window must be .* from 1 to 64, but is 0/],
    [[keyNorm({ window: 400 })], /window must be .* from 1 to 399, but is 400/],
    [
      [attention({ window: 8, reduce: { varianceWeight: -1 } })],
      /reduced by "sum", "group-maximum", a weight .* or a pooled maximum, but by \{"varianceWeight":-1\}/,
    ],
    [
      [attention({ window: 8, reduce: { pooledMaximum: 4 } })],
      /pooled over an odd number .* 1 to 63 .*, but is over 4/,
    ],
    [[random({ window: 8, seed: -1 })], /seed must be a whole number from 0 to 4294967295, but is -1/],
    [[recency({ sinks: -1 })], /sinks must be a whole number of rows, but are -1/],
    [[window, pool({ width: 6, by: "average" })], /pooling must have an odd .* but has 6/],
    [[window, pool({ width: 7, by: "median" as "average" })], /pooling must be by .* but is by "median"/],
    [[window, valueNorm({ by: "rows" as "row" })], /value norm must be by "row", "head" or "share", but is by "rows"/],
    [[window, readAhead({ decay: 1 })], /decay must be .* from 0 to less than 1, but is 1/],
    [[window, lookUp({ best: 0.5, decay: 0.9 })], /best rows must be a whole number from 0 to 64, but are 0.5/],
    [[window, lookUp({ best: 65, decay: 0.9 })], /best rows must be .* to 64, but are 65/],
  ];
  for (const [score, reason] of scores) {
    const { rows, reasons } = run(sabotaged({ score: score as Score }));
    assert.deepEqual(rows, [32, 32, 32, 32, 32, 32]);
    assert.match(reasons.join(), reason);
  }
});

Deno.test("A policy that cannot be started on a prompt within the budget costs nothing", () => {
  const failing: Policy = {
    ...dynamickv,
    start() {
      throw new Error("Not today");
    },
  };
  let reason = "";
  assert.equal(startPolicy(failing, { ...context, promptLength: 40 }, {}, (why) => reason = why), null);
  assert.equal(reason, "Not today");
});

Deno.test("A policy that allots rows to heads is checked head by head, and replaced by the same for all heads", () => {
  const cases: [Partial<StartedPolicy>, RegExp][] = [
    [{ allot: (layers) => new Uint32Array(layers.length) }, /returned 1 budgets for 2 heads of 1 layers/],
    [
      { allot: (layers) => layers.flatMap(() => [1, 0.5]) as unknown as Uint32Array },
      /head 1 of layer 0 must be a whole/,
    ],
    [
      { allot: (layers) => Uint32Array.from(layers.flatMap(({ headRows }) => [headRows![0] + 1, 0])) },
      /budget of head 0 of layer 0 is \d+ rows, but the head holds/,
    ],
    [
      { isRebalanceDue: () => false, allot: ({ length }) => new Uint32Array(2 * length).fill(33) },
      /add up to 396 rows/,
    ],
  ];
  for (const [answers, reason] of cases) {
    const reasons: string[] = [];
    const policy: Policy = {
      ...adakv,
      start: (...given) => ({ ...adakv.start(...given)!, ...answers }),
    };
    const started = startPolicy(policy, context, { window: 8 }, (why) => reasons.push(why))!;
    assert.deepEqual(prefill(started, scores).rows, Array(12).fill(32));
    assert.equal(reasons.length, 1);
    assert.match(reasons[0], reason);
  }
});
