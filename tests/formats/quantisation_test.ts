import assert from "node:assert/strict";
import { dequantise, quantise } from "../../src/formats/quantisation.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES, tensorByteLength } from "../../src/formats/tensor_types.ts";
import type { TensorType } from "../../src/formats/model_file.ts";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import golden from "../golden/quantisation.json" with { type: "json" };
import kGolden from "../golden/k_quantisation.json" with { type: "json" };

// The golden values come from GGML's Python package and, for the K types, from its library: see tools/golden/quantisation.py
// and k_quantisation.ts.
const bytesOf = (base64: string) => Uint8Array.fromBase64(base64);
const floatsOf = (base64: string) => new Float32Array(bytesOf(base64).buffer);

for (const type of TENSOR_TYPE_NAMES) {
  Deno.test(`dequantise() reads ${type} exactly as GGML does`, () => {
    const { blocks, values } = golden.dequantise[type];
    const expected = floatsOf(values);
    assert.deepEqual(dequantise(type, bytesOf(blocks), expected.length), expected);
  });
}

for (const [type, { values, blocks }] of Object.entries({ ...golden.quantise, ...kGolden.quantise })) {
  Deno.test(`quantise() writes ${type} to the byte as GGML does`, () => {
    assert.deepEqual(quantise(type as TensorType, floatsOf(values)), bytesOf(blocks));
  });
}

/**
 * The largest error of an element, as a share of the largest magnitude in its part of a block that has a scale of its
 * own. Derived from the layouts: half a step, plus what rounding the scales adds (2^-11 of the value for a half-precision
 * scale; for the K types half of 1/63, or of 1/127, of the largest part's step or minimum, hence the whole block).
 */
const ERROR_BOUNDS: Readonly<Record<TensorType, { elements: number; error: number }>> = {
  F32: { elements: 1, error: 0 },
  F16: { elements: 1, error: 2 ** -11 },
  BF16: { elements: 1, error: 2 ** -8 },
  Q8_0: { elements: 32, error: 0.5 / 127 + 2 ** -11 },
  // The highest code stands half a step further from the largest element of the other sign.
  Q4_0: { elements: 32, error: 1 / 8 + 2 ** -11 },
  Q5_0: { elements: 32, error: 1 / 16 + 2 ** -11 },
  // A range is up to twice the largest magnitude; its minimum is rounded as well.
  Q4_1: { elements: 32, error: 1 / 15 + 2 ** -9 },
  Q5_1: { elements: 32, error: 1 / 31 + 2 ** -9 },
  Q4_K: { elements: 256, error: 1 / 15 + 2 * 0.5 / 63 + 0.5 / 63 + 2 ** -9 },
  Q5_K: { elements: 256, error: 1 / 31 + 2 * 0.5 / 63 + 0.5 / 63 + 2 ** -9 },
  Q6_K: { elements: 256, error: 1 / 32 + 0.5 / 127 + 2 ** -11 },
};

/** Half the distance between the smallest (subnormal) half-precision numbers. */
const HALF_PRECISION_FLOOR = 2 ** -25;

for (const type of TENSOR_TYPE_NAMES) {
  Deno.test(`quantise() then dequantise() keeps ${type} within its error bound`, () => {
    const values = normalValues(seededRandom(7), 4096).map((value, i) => value * 10 ** (Math.floor(i / 1024) - 1));
    const result = dequantise(type, quantise(type, values), values.length);
    const { elements, error } = ERROR_BOUNDS[type];
    for (let from = 0; from < values.length; from += elements) {
      const part = values.subarray(from, from + elements);
      const largest = part.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      const bound = error * largest + (type === "F16" ? HALF_PRECISION_FLOOR : 0);
      part.forEach((value, i) => {
        const difference = Math.abs(value - result[from + i]);
        assert(difference <= bound, `element ${from + i}: ${value} became ${result[from + i]}, bound ${bound}`);
      });
    }
  });

  Deno.test(`quantise() keeps zeros zero in ${type}`, () => {
    const result = dequantise(type, quantise(type, new Float32Array(512)), 512);
    assert(result.every((value) => value === 0));
  });
}

Deno.test("quantise() of a narrower type is less accurate than of a wider one", () => {
  const values = normalValues(seededRandom(99), 8192);
  const rootMeanSquareError = (type: TensorType) => {
    const result = dequantise(type, quantise(type, values), values.length);
    return Math.sqrt(values.reduce((sum, value, i) => sum + (value - result[i]) ** 2, 0) / values.length);
  };
  const ladder: TensorType[] = ["F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K"];
  const errors = ladder.map(rootMeanSquareError);
  for (let i = 1; i < errors.length; i++) assert(errors[i] > errors[i - 1], `${ladder[i]}: ${errors[i]}`);
  // A uniform quantiser of n levels over a range r has an error of r / n / sqrt(12): about 0.08 for +-2.2 in 16 levels.
  assert(errors.at(-1)! < 0.1, `Q4_K: ${errors.at(-1)}`);
});

Deno.test("dequantise() reads from the middle of a buffer", () => {
  const blocks = quantise("Q8_0", normalValues(seededRandom(3), 96));
  assert.deepEqual(dequantise("Q8_0", blocks.subarray(34, 68), 32), dequantise("Q8_0", blocks, 96).slice(32, 64));
});

Deno.test("dequantise() and quantise() refuse a part of a block, naming the type", () => {
  assert.throws(() => dequantise("Q4_K", new Uint8Array(143), 256), /Q4_K.*expected 144 bytes for every 256/);
  assert.throws(() => dequantise("Q8_0", new Uint8Array(34), 33), /33 elements.*Q8_0/);
  assert.throws(() => quantise("Q5_0", new Float32Array(33)), /Q5_0.*multiple of 32/);
});

Deno.test("tensorByteLength() counts whole blocks per row", () => {
  assert.equal(tensorByteLength("F32", []), 4);
  assert.equal(tensorByteLength("Q8_0", [3, 64]), 3 * 2 * 34);
  assert.equal(tensorByteLength("Q6_K", [2, 256]), 420);
  assert.throws(() => tensorByteLength("Q4_0", [32, 16]), /16 elements.*Q4_0.*multiple of 32/);
});

Deno.test("every tensor type has a number of its own in GGUF files", () => {
  const ids = Object.values(TENSOR_TYPES).map((layout) => layout.ggufTypeId);
  assert.equal(new Set(ids).size, ids.length);
});
