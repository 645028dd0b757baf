import assert from "node:assert/strict";
import { rowBars } from "../../../src/cli/chat/row_bars.ts";

Deno.test("rowBars() draws a line for each layer, to an eighth of a character, within the width", () => {
  // "layer 0 ", two digits and a space leave 4 of 16 columns, and one stays free.
  assert.deepEqual(rowBars([16, 8, 1, 0], 16), [
    "layer 0 16 ████",
    "layer 1  8 ██",
    "layer 2  1 ▎",
    "layer 3  0",
  ]);
});

Deno.test("rowBars() shows means of heads, aligns layers, and has a bar on the narrowest terminal", () => {
  const lines = rowBars(Array.from({ length: 11 }, (_, layer) => layer / 3), 1);
  assert.equal(lines[0], "layer  0   0");
  assert.equal(lines[1], "layer  1 0.3 ▏");
  assert.equal(lines[10], "layer 10 3.3 █");
});
