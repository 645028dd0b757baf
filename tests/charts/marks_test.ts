import assert from "node:assert/strict";
import { drawMark, type Mark } from "../../src/charts/marks.ts";

const MARKS: readonly Mark[] = ["circle", "square", "triangle", "wedge", "diamond", "plus", "cross"];

Deno.test("Marks lie around their point, within a quarter more than their size, and no two are the same", () => {
  const drawn = MARKS.map((mark) => drawMark(mark, 100, 50, 4, "#000"));
  assert.equal(new Set(drawn).size, MARKS.length);
  for (const svg of drawn.slice(1)) {
    const corners = /d="M([^Z]+)Z"/.exec(svg)![1].split("L").map((corner) => corner.split(" ").map(Number));
    assert.ok(corners.length >= 3);
    for (const [x, y] of corners) assert.ok(Math.abs(x - 100) <= 5 && Math.abs(y - 50) <= 5, svg);
  }
  // A plus and a cross have four arms of three corners.
  for (const svg of drawn.slice(-2)) assert.equal(svg.split("L").length, 12);
});
