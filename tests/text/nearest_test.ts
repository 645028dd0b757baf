import assert from "node:assert/strict";
import { nearest, suggestion } from "../../src/text/nearest.ts";

Deno.test("nearest() allows two letters to be wrong, but not half of a short word", () => {
  assert.equal(nearest("dynamicv", ["snapkv", "dynamickv", "full"]), "dynamickv");
  assert.equal(nearest("fll", ["full", "fill"]), "full", "the first of those that are as near");
  assert.equal(nearest("ab", ["cd", "ax"]), "ax");
  assert.equal(nearest("xyz", ["abc"]), undefined);
  assert.equal(nearest("--ab", ["--cd"]), undefined, "dashes do not count as letters");
});

Deno.test("suggestion() ends a sentence, or adds nothing to it", () => {
  assert.equal(suggestion("nedle", ["code", "needle"]), ": did you mean needle?");
  assert.equal(suggestion("nonsense", ["code", "needle"]), "");
});
