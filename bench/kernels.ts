/**
 * @file Speed of the matrix products and attention kernels beside onnxruntime-web's, on the same adapter in one run.
 *
 * Each engine has a device of its own in this process. Both compute the same numbers, which is checked before anything
 * is timed. A measurement is a chain of operations whose operands stay on the GPU; the engines take turns.
 */
import { Gpu } from "../src/gpu/gpu.ts";
import { readBuffer } from "../fixtures/gpu.ts";
import { type AttentionCase, attentionData, ebbAttentions, HEADS, peerAttentions } from "./attentions.ts";
import type { EbbChain } from "./ebb_chain.ts";
import type { KernelResult, KernelResults, Speed } from "./kernel_results.ts";
import { type OnnxGraph, OnnxSession, type PeerGraph } from "./onnx.ts";
import { measurePeaks } from "./peaks.ts";
import { ebbProducts, peerProducts, type ProductCase, productData } from "./products.ts";
import { attentionOperations, median, productOperations, relativeDifference } from "./statistics.ts";
import { compare, type TimingOptions } from "./timing.ts";

const TYPES = ["F32", "F16", "Q8_0", "Q4_0", "Q4_K"] as const;
/** Vectors, columns, rows: multiples of 256, which Q4_K needs. */
const PREFILL_SHAPES = [[256, 768, 2048], [128, 1024, 1024]];
/** Matrices of 33 MB in F32: more than most last-level caches hold two of. */
const DECODE_SHAPES = [[1, 2048, 4096], [8, 2048, 4096]];

const PRODUCTS = [
  ...PREFILL_SHAPES.map((shape) => ["prefill", shape] as const),
  ...DECODE_SHAPES.map((shape) => ["decode", shape] as const),
].flatMap(([kernel, [vectors, columns, rows]]) =>
  TYPES.map((type): ProductCase => ({ kernel, type, vectors, columns, rows }))
);

const ATTENTIONS: readonly AttentionCase[] = (["f32", "f16"] as const).flatMap((element) => [
  { kernel: "prefill", element, rows: 256, total: 256 },
  { kernel: "prefill", element, rows: 1024, total: 1024 },
  { kernel: "decode", element, rows: 1, total: 512 },
  { kernel: "decode", element, rows: 1, total: 4096 },
]);

/**
 * What results may differ by: f32 sums in another order; and sums of up to 4096 products in f16, which Ebb keeps in f32:
 * about sqrt(4096) roundings of 5e-4, and four times that at the worst of many elements.
 */
const TOLERANCES = { f32: 1e-3, f16: 0.13 };

const FULL: TimingOptions = { samples: 5, sampleSeconds: 0.1 };
const QUICK: TimingOptions = { samples: 3, sampleSeconds: 0.05 };

/** A measurement: how each engine builds a chain of operations, and what one of them costs. */
interface Case {
  readonly group: KernelResult["group"];
  readonly name: string;
  readonly operations: number;
  /** Weights, or keys and values, that one operation of decoding reads. */
  readonly bytes?: number;
  /** Operations in the chain that is checked, and in the one that is timed. */
  readonly checkLength: number;
  readonly length: number;
  readonly tolerance: number;
  ebb(gpu: Gpu, length: number): { chain: EbbChain; output: GPUBuffer; buffers: GPUBuffer[] };
  readonly peers: readonly PeerGraph[];
}

function productCase(of: ProductCase): Case {
  const { kernel, type, vectors, columns, rows } = of;
  const data = productData(of);
  const isDecode = kernel === "decode";
  return {
    group: `${kernel} product`,
    name: `${type} ${vectors} x ${columns} x ${rows}`,
    operations: productOperations(vectors, columns, rows),
    bytes: isDecode ? data.matrices[0].bytes.byteLength : undefined,
    checkLength: 2,
    length: isDecode ? 8 : 2,
    tolerance: type === "F16" ? TOLERANCES.f16 : TOLERANCES.f32,
    ebb: (gpu, length) => ebbProducts(gpu, of, data, length),
    peers: peerProducts(of, data),
  };
}

function attentionCase(of: AttentionCase): Case {
  const { kernel, element, rows, total } = of;
  const { queryHeads, kvHeads, headSize } = HEADS;
  const data = attentionData(of);
  const isDecode = kernel === "decode";
  return {
    group: `${kernel} attention`,
    name: `${element} KV, ${isDecode ? `1 row over ${total}` : `${rows} rows`}`,
    operations: attentionOperations(queryHeads, headSize, rows, total),
    bytes: isDecode ? 2 * kvHeads * total * headSize * (element === "f16" ? 2 : 4) : undefined,
    checkLength: 1,
    length: isDecode ? 32 : 2,
    tolerance: TOLERANCES[element],
    ebb: (gpu, length) => ebbAttentions(gpu, of, data, length),
    peers: peerAttentions(of, data),
  };
}

/**
 * Runs the kernel benchmarks.
 *
 * @param progress takes a line before every case
 * @throws {Error} when the two engines' results differ
 */
export async function benchmarkKernels(
  { quick }: { readonly quick: boolean },
  progress: (line: string) => void,
): Promise<KernelResults> {
  const timing = quick ? QUICK : FULL;
  const gpu = await Gpu.open();
  progress("kernels: the adapter's peaks");
  const peaks = await measurePeaks(gpu, timing);
  const cases = [
    ...PRODUCTS.filter(({ vectors }) => !quick || vectors === 1 || vectors === 128).map((of) => () => productCase(of)),
    ...ATTENTIONS.filter(({ total }) => !quick || total <= 512).map((of) => () => attentionCase(of)),
  ];
  const results: KernelResult[] = [];
  for (const [index, prepare] of cases.entries()) {
    const of = prepare();
    progress(`kernels ${index + 1}/${cases.length}: ${of.group}, ${of.name}`);
    results.push(await measure(gpu, of, timing));
  }
  gpu.destroy();
  return { adapter: gpu.adapterName, peaks, results };
}

async function measure(gpu: Gpu, of: Case, timing: TimingOptions): Promise<KernelResult> {
  const differences: number[] = [];
  for (const peer of of.peers) differences.push(await check(gpu, of, peer.graph(of.checkLength)));
  const ebb = of.ebb(gpu, of.length);
  const sessions: OnnxSession[] = [];
  for (const peer of of.peers) sessions.push(await OnnxSession.create(peer.graph(of.length)));
  const samples = await compare([
    ebb.chain,
    ...sessions.map((session) => ({ queue: session.device.queue, submit: () => session.run() })),
  ], timing);
  const [ebbSeconds, ...peerSeconds] = samples.map(median);
  for (const buffer of ebb.buffers) gpu.destroyBuffer(buffer);
  for (const session of sessions) await session.close();
  const speed = (chainSeconds: number): Speed => {
    const seconds = chainSeconds / of.length;
    return {
      microseconds: seconds * 1e6,
      gflops: of.operations / seconds / 1e9,
      gigabytesPerSecond: of.bytes && of.bytes / seconds / 1e9,
    };
  };
  return {
    group: of.group,
    name: of.name,
    ebb: speed(ebbSeconds),
    peers: of.peers.map(({ kernel }, i) => ({ kernel, difference: differences[i], ...speed(peerSeconds[i]) })),
  };
}

/** Runs a short chain on both engines and returns how far their results are apart. */
async function check(gpu: Gpu, of: Case, graph: OnnxGraph): Promise<number> {
  const { chain, output, buffers } = of.ebb(gpu, of.checkLength);
  gpu.device.pushErrorScope("validation");
  chain.submit();
  const error = await gpu.device.popErrorScope();
  if (error) throw new Error(`${of.group}, ${of.name}: ${error.message}`);
  const session = await OnnxSession.create(graph);
  await session.run();
  const theirs = await session.read("y");
  const ours = new Float32Array(await readBuffer(gpu, output));
  for (const buffer of buffers) gpu.destroyBuffer(buffer);
  await session.close();
  const difference = relativeDifference(ours, theirs);
  if (!(difference <= of.tolerance)) {
    throw new Error(
      `${of.group}, ${of.name}: results of Ebb and onnxruntime-web differ by ${difference} of their root mean ` +
        `square, expected at most ${of.tolerance}: the speeds would not be comparable`,
    );
  }
  return difference;
}
