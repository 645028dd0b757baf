/**
 * @file A projection bound to its input and output: the dispatches that multiply a few vectors, or many.
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { matmulDispatch, matmulKernel } from "../kernels/forward/matmul.ts";
import { matvecDispatch, type MatvecKernel, matvecKernel } from "../kernels/forward/matvec.ts";
import type { Matrix, Projection } from "./weights.ts";

/** Vectors per workgroup that kernels are generated for; a step takes the smallest that fits, or several of the largest. */
const BATCHES = [1, 4, 8] as const;

/** A buffer of f32 rows. */
export interface Rows {
  readonly buffer: GPUBuffer;
  /** Elements from one row to the next; a multiple of 32. */
  readonly stride: number;
}

/** An RMSNorm fused in front of a projection. */
export interface FusedNorm {
  /** f32 `[stride]`, zero beyond `width`. */
  readonly weight: GPUBuffer;
  readonly width: number;
  readonly epsilon: number;
}

/** Multiplies a few vectors: the decoding form, with everything around it fused. */
export class FewVectors {
  readonly #parts: {
    readonly matrix: Matrix;
    readonly offset: number;
    readonly variants: readonly { readonly kernel: MatvecKernel; readonly binding: Binding }[];
  }[];

  /** @param epilogue `gated` needs a projection of one part: gate rows and then up rows */
  constructor(
    gpu: Gpu,
    projection: Projection,
    readonly x: Rows,
    readonly y: Rows,
    readonly epilogue: "store" | "residual" | "gated",
    readonly norm?: FusedNorm,
  ) {
    this.#parts = projection.parts.map(({ matrix, offset }) => ({
      matrix,
      offset,
      variants: BATCHES.map((batch) => {
        const kernel = matvecKernel({
          format: matrix.format,
          columns: matrix.columns,
          batch,
          norm: norm !== undefined,
          bias: projection.bias !== undefined,
          epilogue,
        });
        const buffers = [
          ...matrix.planes,
          x.buffer,
          ...(norm ? [norm.weight] : []),
          ...(projection.bias ? [projection.bias] : []),
          y.buffer,
        ];
        return { kernel, binding: gpu.binding(kernel, buffers) };
      }),
    }));
  }

  /** Records the product for the first `count` rows. */
  record(recorder: Recorder, count: number): void {
    const variant = count === 1 ? 0 : count <= 4 ? 1 : 2;
    for (const { matrix, offset, variants } of this.#parts) {
      const { kernel, binding } = variants[variant];
      const rows = this.epilogue === "gated" ? matrix.rows / 2 : matrix.rows;
      recorder.dispatch(
        binding,
        matvecDispatch({
          kernel,
          rows,
          count,
          xStride: this.x.stride,
          yStride: this.y.stride,
          yOffset: offset,
          width: this.norm?.width,
          epsilon: this.norm?.epsilon,
        }),
      );
    }
  }
}

/** Multiplies many vectors: the prefill form. */
export class ManyVectors {
  readonly #parts: { readonly matrix: Matrix; readonly offset: number; readonly binding: Binding }[];

  constructor(gpu: Gpu, projection: Projection, readonly x: Rows, readonly y: Rows, epilogue: "store" | "residual") {
    this.#parts = projection.parts.map(({ matrix, offset }) => ({
      matrix,
      offset,
      binding: gpu.binding(
        matmulKernel({
          format: matrix.format,
          bias: projection.bias !== undefined,
          epilogue,
          subgroupSize: gpu.subgroupSize,
        }),
        [...matrix.planes, x.buffer, ...(projection.bias ? [projection.bias] : []), y.buffer],
      ),
    }));
  }

  /** Records the product of the first `count` rows of x into the rows of y from `yFirst` on. */
  record(recorder: Recorder, count: number, yFirst = 0): void {
    for (const { matrix, offset, binding } of this.#parts) {
      recorder.dispatch(
        binding,
        matmulDispatch({
          rows: matrix.rows,
          columns: matrix.columns,
          count,
          xStride: this.x.stride,
          yStride: this.y.stride,
          yOffset: offset,
          yFirst,
        }),
      );
    }
  }
}
