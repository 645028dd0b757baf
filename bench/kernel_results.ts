/** @file What the kernel benchmarks report. */

/** The adapter at its best. */
export interface Peaks {
  /** Bytes per second that a kernel reads from a buffer too large for caches. */
  readonly readBytesPerSecond: number;
  /** f32 operations per second of independent multiply-adds in registers. */
  readonly operationsPerSecond: number;
}

/** Speed of one engine at one case. */
export interface Speed {
  readonly microseconds: number;
  readonly gflops: number;
  /** Weights (products) or keys and values (attention) read per second; only where decoding is bound by them. */
  readonly gigabytesPerSecond?: number;
}

export interface PeerSpeed extends Speed {
  readonly kernel: string;
  /** Largest difference between the engines' results, as a share of their root mean square. */
  readonly difference: number;
}

export interface KernelResult {
  readonly group: "prefill product" | "decode product" | "prefill attention" | "decode attention";
  /** The case within its group, in words. */
  readonly name: string;
  readonly ebb: Speed;
  /** onnxruntime-web's ways to do the same; none where it has no such kernel. */
  readonly peers: readonly PeerSpeed[];
}

export interface KernelResults {
  readonly adapter: string;
  readonly peaks: Peaks;
  readonly results: readonly KernelResult[];
}
