/** @file What bounds the engines on this machine: how fast onnxruntime reads memory, and how fast it multiplies. */
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { tensor } from "../../src/cpu/runtime/session.ts";

/** Per second. */
export interface CpuPeaks {
  /** Bytes of f32 weights, one row times a matrix that no cache holds. */
  readonly readBytes: number;
  /** Multiplications and additions of f32, a square product. */
  readonly operations: number;
}

/** The best of some runs, on `threads` threads. */
export async function measurePeaks(threads: number): Promise<CpuPeaks> {
  const runtime = await Onnxruntime.open(threads);
  const session = await runtime.session({
    inputs: [{ name: "x", shape: ["m", "k"] }, { name: "w", shape: ["k", "n"] }],
    nodes: [{ operator: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    outputs: [{ name: "y", shape: ["m", "n"] }],
  });
  const seconds = (m: number, k: number, n: number) => {
    const places = [[m, k], [k, n], [m, n]].map((shape) => {
      const floats = runtime.floats(shape[0] * shape[1]);
      floats.values.fill(0.5);
      return { floats, tensor: tensor(runtime.module, floats.address, shape) };
    });
    const [x, w, y] = places.map((place) => place.tensor);
    let best = Infinity;
    for (let i = 0; i < 10; i++) {
      const start = performance.now();
      session.run([x, w], [y]);
      best = Math.min(best, (performance.now() - start) / 1000);
    }
    for (const { floats } of places) runtime.free(floats);
    return best;
  };
  return {
    readBytes: 4096 * 8192 * 4 / seconds(1, 4096, 8192),
    operations: 2 * 1024 ** 3 / seconds(1024, 1024, 1024),
  };
}
