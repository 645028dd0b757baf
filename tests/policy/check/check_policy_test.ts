import assert from "node:assert/strict";
import cake from "../../../src/plugins/cake.ts";
import dynamickv from "../../../src/plugins/dynamickv.ts";
import full from "../../../src/plugins/full.ts";
import lava from "../../../src/plugins/lava.ts";
import streaming from "../../../src/plugins/streaming.ts";
import { checkPolicy } from "../../../src/policy/check/check_policy.ts";
import {
  type Allocator,
  attention,
  defineAllocator,
  definePolicy,
  keyNorm,
  onHost,
  type Policy,
  z,
} from "../../../src/policy/mod.ts";

/** A policy with an allocator that takes one of its parts from the fault to be found. */
function planted({ allot, schedule, options = z.strictObject({}) }: Partial<Allocator>): Policy {
  return definePolicy({
    name: "planted",
    description: "Planted",
    score: ({ budget }) => [keyNorm({ window: Math.min(8, Math.ceil(budget / 2)) })],
    allocator: defineAllocator({
      name: "planted",
      description: "Planted",
      options,
      schedule: schedule ?? (({ base }) => ({ provisionalRows: base, interval: 1 })),
      allot: allot ?? ((layers) => layers.map(({ heldRows }) => heldRows)),
    }),
  });
}

for (
  const [what, policy, fault, input] of [
    [
      "more rows than the budget",
      planted({ schedule: ({ scoredRows }) => ({ provisionalRows: scoredRows, interval: 1 }) }),
      /budgets add up to \d+ rows, but \d+ are allowed/,
      /tokens, budget \d+, .*; allot\(\) of layers 0 to \d+, which hold \d+/,
    ],
    [
      "rows that are no numbers",
      planted({ allot: (layers) => layers.map(() => NaN) }),
      /must be a whole number of rows, but is NaN/,
      /layers 0 to 0/,
    ],
    [
      "an exception on the third layer",
      planted({
        allot(layers) {
          if (layers.length === 3) throw new Error("Out of luck");
          return layers.map(({ heldRows }) => heldRows);
        },
      }),
      /^Out of luck$/,
      /layers 0 to 2/,
    ],
    [
      "other rows each time",
      planted({ allot: (layers) => layers.map(({ heldRows }) => Math.floor(heldRows * Math.random())) }),
      /does not give the same twice/,
      /a prompt of \d+ tokens/,
    ],
    [
      "histograms that it changes",
      planted({
        allot(layers) {
          layers[0].histogram[7]++;
          return layers.map(({ heldRows }) => heldRows);
        },
      }),
      /allot\(\) changes what it is given/,
      /a prompt of/,
    ],
    [
      "options without a default",
      planted({ options: z.strictObject({ power: z.number() }) }),
      /The option "power" has no default/,
      /a request without options/,
    ],
    [
      "a window that there cannot be",
      definePolicy({ name: "planted", description: "Planted", score: () => [attention({ window: 65 })] }),
      /window must be a whole number from 1 to 64, but is 65/,
      /a prompt of \d+ tokens, budget \d+/,
    ],
    [
      "too few scores from the host",
      definePolicy({
        name: "planted",
        description: "Planted",
        score: () => [onHost({ window: 1, needs: ["keys"], score: ({ keys }) => keys!.subarray(0, 10) })],
      }),
      /score of onHost\(\) must be \d+ numbers, .* but is 10/,
      /; layer 0$/,
    ],
  ] as [string, Policy, RegExp, RegExp][]
) {
  Deno.test(`checkPolicy() finds ${what}, and says with which input`, () => {
    const { faults } = checkPolicy(policy);
    const found = faults.find((found) => fault.test(found.what));
    assert.ok(found, JSON.stringify(faults));
    assert.match(found.input, input);
  });
}

Deno.test("checkPolicy() finds nothing wrong with policies of Ebb's own, and how many rows their layers keep", () => {
  for (const policy of [cake, dynamickv, full, lava, streaming]) {
    const { faults, kept } = checkPolicy(policy);
    assert.deepEqual(faults.filter(({ what }) => !/^A call took/.test(what)), [], policy.name);
    assert.equal(kept.length > 10, policy.name !== "full");
    for (const { context: { layerCount, budget }, rowsPerLayer } of kept) {
      assert.equal(rowsPerLayer.length, layerCount);
      const sum = rowsPerLayer.reduce((a, b) => a + b);
      // The window is always kept, however small the budget is.
      if (budget >= 64) {
        assert.ok(sum <= layerCount * budget + 1e-6, `${policy.name}: ${sum} rows of ${layerCount} x ${budget}`);
      }
    }
  }
});
