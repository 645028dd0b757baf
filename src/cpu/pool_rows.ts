/** @file What a prompt comes to as one vector, on the CPU: as kernels/forward/pool_rows.ts on a GPU. */
import type { PromptPooling } from "../contract/generation.ts";

/**
 * The mean of rows, or the first or last of them, each normalised by its root mean square first.
 *
 * @param hidden `[rows, hiddenSize]` of one prompt, behind the last layer
 * @param norm `[hiddenSize]`: the weight of the norm before the logits
 * @param epsilon added to the mean of a row's squares
 * @returns `[hiddenSize]`
 */
export function poolRows(
  hidden: Float32Array,
  norm: Float32Array,
  epsilon: number,
  pooling: PromptPooling,
): Float32Array<ArrayBuffer> {
  const size = norm.length;
  const rows = hidden.length / size;
  const first = pooling === "last" ? rows - 1 : 0;
  const count = pooling === "mean" ? rows : 1;
  const sums = new Float64Array(size);
  for (let row = first; row < first + count; row++) {
    const states = hidden.subarray(row * size, (row + 1) * size);
    const squares = states.reduce((sum, value) => sum + value * value, 0);
    const scale = 1 / Math.sqrt(squares / size + epsilon) / count;
    for (let i = 0; i < size; i++) sums[i] += states[i] * norm[i] * scale;
  }
  return Float32Array.from(sums);
}
