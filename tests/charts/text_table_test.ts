import assert from "node:assert/strict";
import { digits, table } from "../../src/charts/text_table.ts";

Deno.test("digits() keeps three significant digits, and every digit before the point", () => {
  assert.equal(digits(0.0123456), "0.0123");
  assert.equal(digits(4.5678), "4.57");
  assert.equal(digits(219.76), "220");
  assert.equal(digits(133381.7), "133382");
  assert.equal(digits(0), "0");
});

Deno.test("table() aligns numbers to the right and words to the left", () => {
  assert.equal(
    table(["name", "us"], [["short", "7"], ["much longer", "1234"], ["empty", ""]]),
    [
      "name           us",
      "-----------  ----",
      "short           7",
      "much longer  1234",
      "empty",
    ].join("\n"),
  );
});
