import assert from "node:assert/strict";
import {
  checkedBudgets,
  parseBudget,
  proportionalRows,
  rankedBudget,
  roundToTotal,
  shareRows,
  uniformBudgets,
} from "../../src/cache/budgets.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

Deno.test("parseBudget() takes rows, or a share of the prompt", () => {
  assert.equal(parseBudget(512, 10), 512);
  assert.equal(parseBudget("512", 10), 512);
  assert.equal(parseBudget("6.9%", 7420), 512); // 511.98
  assert.equal(parseBudget(" 50% ", 3), 2);
  assert.equal(parseBudget("0.1%", 10), 1);
  assert.equal(parseBudget("100%", 77), 77);
});

Deno.test("parseBudget() of a budget by mass is the most that it can come to, and leaves something to rank", () => {
  assert.equal(parseBudget({ mass: 0.9, max: 64 }, 100), 64);
  assert.equal(parseBudget({ mass: 1, max: "25%" }, 100), 25);
  assert.equal(parseBudget({ mass: 0.9, max: 5000 }, 100), 99);
  assert.equal(parseBudget({ mass: 0.9, max: 5000 }, 1), 1);
  for (const mass of [0, -1, 1.01, NaN]) assert.throws(() => parseBudget({ mass, max: 5 }, 9), /above 0 and up to 1/);
});

Deno.test("parseBudget() refuses what is neither, quoting it", () => {
  for (const budget of [0, -1, 1.5, NaN, Infinity, 1e21, "", "x", "0%", "101%", "-5%", "5 %%", "1e3", "0"]) {
    assert.throws(() => parseBudget(budget, 100), (error: Error) => {
      return error instanceof RangeError && error.message.includes(JSON.stringify(budget));
    });
  }
});

Deno.test("rankedBudget() leaves a layer at least one row beside the window", () => {
  assert.deepEqual([128, 9, 8, 1].map((budget) => rankedBudget(budget, 8)), [120, 1, 1, 1]);
});

Deno.test("checkedBudgets() passes budgets that are held and within the total", () => {
  const checked = checkedBudgets([0, 5, 7], [0, 5, 9], 12);
  assert.deepEqual(checked, { ok: true, rows: Uint32Array.of(0, 5, 7) });
});

Deno.test("checkedBudgets() says what is wrong with budgets it refuses", () => {
  const reasonFor = (allotted: unknown, held = [10, 10], total = 20) => {
    const checked = checkedBudgets(allotted as number[], held, total);
    return checked.ok ? "accepted" : checked.reason;
  };
  assert.match(reasonFor(undefined), /must return an array/);
  assert.match(reasonFor({}), /must return an array/);
  assert.match(reasonFor(Promise.resolve([1, 1])), /must return an array/);
  assert.match(reasonFor([1]), /returned 1 budgets for 2 layers/);
  assert.match(reasonFor([1, NaN]), /layer 1 must be a whole number of rows, but is NaN/);
  assert.match(reasonFor([Infinity, 1]), /layer 0 .* but is Infinity/);
  assert.match(reasonFor([1.5, 1]), /layer 0 .* but is 1.5/);
  assert.match(reasonFor([-1, 1]), /layer 0 .* but is -1/);
  assert.match(reasonFor(["3", 1]), /layer 0 .* but is 3/);
  assert.match(reasonFor([1, 11]), /layer 1 is 11 rows, but the layer holds 10/);
  assert.match(reasonFor([10, 10], [10, 10], 19), /add up to 20 rows, but 19 are allowed/);
});

Deno.test("roundToTotal() shares whole blocks in proportion and keeps the sum exact", () => {
  assert.deepEqual([...roundToTotal([1, 2, 3], 96, [1000, 1000, 1000])], [16, 32, 48]);
  // 3.5 blocks and a half: only the last block handed out is cut.
  const rows = roundToTotal([1, 1], 120, [1000, 1000]);
  assert.equal(sum(rows), 120);
  assert.equal(rows.filter((count) => count % 16 !== 0).length, 1);
});

Deno.test("roundToTotal() gives what a full layer cannot take to the others", () => {
  assert.deepEqual([...roundToTotal([100, 1, 1], 320, [32, 1000, 1000])], [32, 144, 144]);
  assert.deepEqual([...roundToTotal([1, 1, 1], 10_000, [5, 17, 64])], [5, 17, 64]);
});

Deno.test("roundToTotal() serves floors first, and layers without weight last", () => {
  assert.deepEqual([...roundToTotal([1, 0], 64, [1000, 1000], [16, 16])], [48, 16]);
  assert.deepEqual([...roundToTotal([1, 0, 0], 100, [36, 1000, 1000])], [36, 32, 32]);
  assert.deepEqual([...roundToTotal([1, 1], 20, [1000, 1000], [16, 16])], [16, 4]);
});

Deno.test("proportionalRows() shares to a row, in proportion, and keeps the sum exact", () => {
  assert.deepEqual([...proportionalRows([1, 2, 1], 100, [100, 100, 100])], [25, 50, 25]);
  // 3.33 each: the remainder goes to the first of equals.
  assert.deepEqual([...proportionalRows([1, 1, 1], 10, [10, 10, 10])], [4, 3, 3]);
  assert.deepEqual([...proportionalRows([1, 1.2, 1.1], 10, [10, 10, 10])], [3, 4, 3]); // 3.03, 3.64, 3.33
});

Deno.test("proportionalRows() gives what a full layer cannot take to the others, and layers without weight what is left", () => {
  // 60, 20, 20: the first holds 30, and of the 70 left the others would get 35 each, of which the second holds 32.
  assert.deepEqual([...proportionalRows([3, 1, 1], 100, [30, 32, 100])], [30, 32, 38]);
  assert.deepEqual([...proportionalRows([3, 0, 0], 100, [30, 50, 100])], [30, 35, 35]);
  assert.deepEqual([...proportionalRows([1, 1], 100, [30, 40])], [30, 40]);
  assert.deepEqual([...proportionalRows([1, 1], 0, [30, 40])], [0, 0]);
  assert.deepEqual([...proportionalRows([0, 0, 0], 10, [10, 10, 10])], [4, 3, 3]);
  assert.deepEqual([...proportionalRows([], 10, [])], []);
});

Deno.test("proportionalRows() keeps sum and caps for random layers, each within a row of one common proportion", () => {
  const random = seededRandom(12);
  for (let round = 0; round < 300; round++) {
    const layers = randomInteger(random, 1, 40);
    const weights = Array.from({ length: layers }, () => random() < 0.1 ? 0 : 10 ** (4 * random()));
    const caps = Array.from({ length: layers }, () => randomInteger(random, 0, 300));
    const total = randomInteger(random, 0, 200 * layers);
    const rows = [...proportionalRows(weights, total, caps)];
    assert.equal(sum(rows), Math.min(total, sum(caps)));
    rows.forEach((count, layer) => assert.ok(count <= caps[layer]));
    const open = rows.map((_, layer) => layer).filter((layer) => rows[layer] < caps[layer] && weights[layer] > 0);
    for (const a of open) {
      for (const b of open) assert.ok((rows[a] - 1) / weights[a] <= (rows[b] + 1) / weights[b]);
    }
  }
});

Deno.test("uniformBudgets() gives every layer the same, to a block", () => {
  assert.deepEqual([...uniformBudgets([100, 100, 100], 96)], [32, 32, 32]);
  assert.deepEqual([...uniformBudgets([100, 3, 100], 99)], [48, 3, 48]);
});

Deno.test("shareRows() keeps sum, caps and floors for random layers", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const layerCount = randomInteger(random, 1, 33);
    const caps = Array.from({ length: layerCount }, () => randomInteger(random, 0, 300));
    const floor = randomInteger(random, 0, 40);
    const weights = Array.from({ length: layerCount }, () => random() ** 8);
    const total = randomInteger(random, floor * layerCount, layerCount * 200 + floor * layerCount);
    const rows = roundToTotal(weights, total, caps, caps.map(() => floor));
    assert.equal(sum(rows), Math.min(total, sum(caps)));
    rows.forEach((count, layer) => {
      assert.ok(count <= caps[layer]);
      assert.ok(count >= Math.min(floor, caps[layer]));
    });
  }
});

Deno.test("shareRows() never gives a layer more because another joins", () => {
  const random = seededRandom(8);
  for (let round = 0; round < 100; round++) {
    const layerCount = randomInteger(random, 2, 20);
    const weights = Array.from({ length: layerCount }, () => 0.01 + random() ** 4);
    const caps = weights.map(() => randomInteger(random, 1, 400));
    const floors = weights.map(() => 16);
    const total = randomInteger(random, 16 * layerCount, 2000 + 16 * layerCount);
    const all = roundToTotal(weights, total, caps, floors);
    let held = [] as number[];
    for (let seen = 1; seen <= layerCount; seen++) {
      held.push(caps[seen - 1]);
      const before = held;
      held = [...shareRows(total, held, floors, (layer, row) => row / weights[layer])];
      held.forEach((rows, layer) => {
        assert.ok(rows <= before[layer]);
        assert.ok(rows >= all[layer]);
      });
    }
    assert.deepEqual(held, [...all], "cutting layers as they arrive ends where sharing once does");
  }
});

Deno.test("checkedBudgets() of heads names the head at fault", () => {
  const reason = (allotted: number[]) => {
    const checked = checkedBudgets(allotted, [5, 5, 9, 9], 20, 2);
    return checked.ok ? "" : checked.reason;
  };
  assert.equal(reason([5, 5, 5, 5]), "");
  assert.match(reason([5, 5, 10, 0]), /budget of head 0 of layer 1 is 10 rows, but the head holds 9/);
  assert.match(reason([5, -1, 10, 0]), /budget of head 1 of layer 0 must be a whole number of rows, but is -1/);
  assert.match(reason([5, 5, 9, 9]), /add up to 28 rows, but 20 are allowed/);
  assert.match(reason([5, 5]), /returned 2 budgets for 2 heads of 2 layers/);
});
