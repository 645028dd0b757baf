import assert from "node:assert/strict";
import type { RopeConfig, RopeScaling } from "../../src/architecture/config.ts";
import { ropeFrequencies, ropeTable } from "../../src/architecture/rope.ts";

/** Eight dimensions at base 10000 turn at 1, 0.1, 0.01 and 0.001 radians a token: the values below are done by hand. */
function rope(scaling: RopeScaling, dimensions = 8): RopeConfig {
  return { base: 10000, dimensions, pairing: "halves", scaling };
}

function assertClose(actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-12): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => {
    assert.ok(
      Math.abs(actual[i] - value) <= tolerance * Math.max(1, Math.abs(value)),
      `element ${i} is ${actual[i]}, expected ${value}`,
    );
  });
}

Deno.test("ropeFrequencies() falls geometrically from 1", () => {
  assertClose(ropeFrequencies(rope({ type: "none" }), 16), [1, 0.1, 0.01, 0.001]);
});

Deno.test("ropeFrequencies() divides by the factor of linear scaling", () => {
  assertClose(ropeFrequencies(rope({ type: "linear", factor: 4 }), 16), [0.25, 0.025, 0.0025, 0.00025]);
});

Deno.test("ropeFrequencies() divides each pair by its own factor", () => {
  const factors = Float32Array.of(1, 2, 4, 8);
  assertClose(ropeFrequencies(rope({ type: "factors", factors }), 16), [1, 0.05, 0.0025, 0.000125]);
});

Deno.test("ropeFrequencies() keeps, blends and divides frequencies as Llama 3.1 does", () => {
  // Wavelengths 6.28, 62.8, 628.3, 6283 against 1024 / 4 = 256 and 1024 / 1. The third turns 1024 * 0.01 / 2 pi =
  // 1.6297466 times, so (1.6297466 - 1) / (4 - 1) = 0.2099155 of it is kept: 0.01 * (0.2099155 + 0.7900845 / 8).
  const scaling = {
    type: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 1024,
  } as const;
  assertClose(ropeFrequencies(rope(scaling), 16), [1, 0.1, 0.0030867610, 0.000125], 1e-9);
});

Deno.test("ropeFrequencies() ramps from whole to divided frequencies as YaRN does", () => {
  // 8 ln(4096 / (32 * 2 pi)) / (2 ln 10000) = 1.309 and 8 ln(4096 / 2 pi) / (2 ln 10000) = 2.814: from pair 1 to pair 3.
  const scaling = {
    type: "yarn",
    factor: 4,
    originalContext: 4096,
    attentionFactor: 1,
    betaFast: 32,
    betaSlow: 1,
  } as const;
  assertClose(ropeFrequencies(rope(scaling), 16), [1, 0.1, 0.01 * (0.5 + 0.5 / 4), 0.001 / 4]);
  // 8 ln(64 / (32 * 2 pi)) / (2 ln 10000) is below 0 and 8 ln(64 / 2 pi) / (2 ln 10000) = 1.008: beyond pair 2 nothing is left.
  assertClose(ropeFrequencies(rope({ ...scaling, originalContext: 64 }), 16), [
    1,
    0.1 * (0.5 + 0.5 / 4),
    0.01 / 4,
    0.001 / 4,
  ]);
});

Deno.test("ropeFrequencies() raises the base of dynamic scaling for a context beyond the original", () => {
  const scaling = { type: "dynamic", factor: 2, originalContext: 1024 } as const;
  assertClose(ropeFrequencies(rope(scaling), 1024), [1, 0.1, 0.01, 0.001]);
  assertClose(ropeFrequencies(rope(scaling), 512), [1, 0.1, 0.01, 0.001]);
  // 2 * 2048 / 1024 - 1 = 3, and 3 ** (8 / 6) = 4.3267487: the base is 43267.487, its fourth root 14.4225 (= 10 * 3^(1/3)).
  const root = 10 * Math.cbrt(3);
  assertClose(ropeFrequencies(rope(scaling), 2048), [1, 1 / root, 1 / root ** 2, 1 / root ** 3]);
});

Deno.test("ropeTable() holds the cosine and sine of every position and pair", () => {
  const table = ropeTable(rope({ type: "none" }, 4), 3);
  assertClose(
    table,
    [
      1,
      0,
      1,
      0,
      Math.cos(1),
      Math.sin(1),
      Math.cos(0.01),
      Math.sin(0.01),
      Math.cos(2),
      Math.sin(2),
      Math.cos(0.02),
      Math.sin(0.02),
    ],
    1e-7,
  );
});

Deno.test("ropeTable() stays exact to single precision at far positions", () => {
  const table = ropeTable(rope({ type: "none" }, 4), 100_001);
  // 100000 mod 2 pi = 100000 - 15915 * 2 pi = 3.1056...
  const angle = 100_000 - 15_915 * 2 * Math.PI;
  assertClose(table.subarray(-4, -2), [Math.cos(angle), Math.sin(angle)], 1e-7);
});

Deno.test("ropeTable() lengthens vectors by YaRN's attention factor", () => {
  const scaling = {
    type: "yarn",
    factor: 4,
    originalContext: 4096,
    attentionFactor: 1.25,
    betaFast: 32,
    betaSlow: 1,
  } as const;
  const table = ropeTable(rope(scaling), 7);
  for (let i = 0; i < table.length; i += 2) {
    assert.ok(Math.abs(Math.hypot(table[i], table[i + 1]) - 1.25) < 1e-6);
  }
});
