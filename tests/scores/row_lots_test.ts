import assert from "node:assert/strict";
import { lotKey, rowLot } from "../../src/scores/row_lots.ts";

const ROWS = 4000;
const lots = (seed: number, layer: number, head: number) =>
  Array.from({ length: ROWS }, (_, row) => rowLot(lotKey(seed, layer), head, row));

Deno.test("rowLot() is even over all rows, and of every layer, head and seed its own", () => {
  const places = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [2 ** 32 - 1, 31, 7]];
  const drawn = places.map(([seed, layer, head]) => lots(seed, layer, head));
  drawn.forEach((own, i) => {
    assert.ok(own.every((lot) => lot >= 0 && lot < 1 && Math.fround(lot) === lot));
    // Tenths hold 400 each, with a standard deviation of 19; halves of the rows alike.
    for (let tenth = 0; tenth < 10; tenth++) {
      const count = own.filter((lot) => Math.floor(lot * 10) === tenth).length;
      assert.ok(Math.abs(count - ROWS / 10) < 100, `${places[i]}: ${count} in tenth ${tenth}`);
    }
    // Of the first and the last half of the rows as many are kept: 400 each of the best fifth.
    const kept = own.map((lot, row) => ({ lot, row })).sort((a, b) => b.lot - a.lot).slice(0, ROWS / 5);
    assert.ok(Math.abs(kept.filter(({ row }) => row < ROWS / 2).length - ROWS / 10) < 80);
    for (const other of drawn.slice(0, i)) {
      const both = own.filter((lot, row) => lot > 0.5 && other[row] > 0.5).length;
      assert.ok(Math.abs(both - ROWS / 4) < 150, `${places[i]}: ${both} with another`);
    }
  });
});
