/** @file Whether two engines keep the same rows. */
import assert from "node:assert/strict";
import type { HeldKeys } from "./cpu.ts";

/** Elements of equal keys may lie this far apart: two ways to add in f32. */
const ROUNDING = 2e-4;

/** Asserts that every head of every layer holds the same rows; those of nearly the same score may change places. */
export function assertSameRows(actual: HeldKeys, expected: HeldKeys, headSize: number, message: string): void {
  actual.forEach((heads, layer) =>
    heads.forEach((keys, head) => {
      const place = `${message}: layer ${layer}, head ${head}`;
      const others = rowsOf(expected[layer][head], headSize);
      assert.equal(keys.length / headSize, others.length, `${place}: rows`);
      for (const [rank, key] of rowsOf(keys, headSize).entries()) {
        const found = others.findIndex((other) => other.every((x, i) => Math.abs(x - key[i]) < ROUNDING));
        assert.ok(found >= 0, `${place}: no row like that of rank ${rank}`);
        others.splice(found, 1);
      }
    })
  );
}

function rowsOf(keys: readonly number[], headSize: number): number[][] {
  return Array.from({ length: keys.length / headSize }, (_, row) => keys.slice(row * headSize, (row + 1) * headSize));
}
