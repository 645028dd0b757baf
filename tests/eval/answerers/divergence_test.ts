import assert from "node:assert/strict";
import { divergence, likeliest } from "../../../src/eval/answerers/divergence.ts";

const close = (value: number, expected: number) => assert.ok(Math.abs(value - expected) < 1e-6, `${value}`);

Deno.test("divergence() is the sum of p log(p/q), and not symmetric", () => {
  const p = Float32Array.of(Math.log(0.5), Math.log(0.25), Math.log(0.25));
  const q = Float32Array.of(Math.log(0.25), Math.log(0.25), Math.log(0.5));
  close(divergence(p, q), 0.5 * Math.log(2) - 0.25 * Math.log(2));
  const even = Float32Array.of(1, 1, 1);
  close(divergence(p, even), 0.5 * Math.log(1.5) + 0.5 * Math.log(0.75));
  close(divergence(even, p), (Math.log(2 / 3) + 2 * Math.log(4 / 3)) / 3);
});

Deno.test("divergence() does not change with the level of the logits, and bears large ones", () => {
  const p = Float32Array.of(1000, 1001, 990);
  const q = Float32Array.of(-3000, -2999, -3010);
  close(divergence(p, q), 0);
  const [far, near] = [Float32Array.of(0, 500), Float32Array.of(500, 0)];
  close(divergence(far, near), 500);
});

Deno.test("likeliest() takes the lowest of equals", () => {
  assert.equal(likeliest(Float32Array.of(-2, 3, 3, 1)), 1);
});
