/**
 * @file A model ready to run: weights, cache memory, and the recorders of its prefill, compression and decoding.
 */
import { RecordLayout } from "../scores/layer_record.ts";
import { REHEARSAL_CHUNK } from "../scores/rehearsal.ts";
import { BlockPool } from "../cache/block_pool.ts";
import { PrefixIndex } from "../cache/prefix_index.ts";
import { SizeError } from "../contract/errors.ts";
import type { LoadProgress } from "../contract/engine.ts";
import type { ModelFile } from "../formats/model_file.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { BatchRows, SlotState } from "./batch_state.ts";
import { Compressor } from "../compression/compressor.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { DecodeCompressor } from "../compression/decode_compressor.ts";
import { Decoder } from "./decoder.ts";
import { type Dimensions, dimensionsOf, MAX_STEPS, type ServingOptions } from "./dimensions.ts";
import { PromptPooler } from "./prompt_pooler.ts";
import { Prefiller } from "./prefiller.ts";
import { PrefixRows } from "./prefix_rows.ts";
import { ropeFrequencies, ropeTable } from "../architecture/rope.ts";
import { Sampler } from "./sampler.ts";
import { loadWeights } from "./weights.ts";

/** Everything that runs a model on a GPU; one per engine. */
export class Model {
  #decodeCompressor: DecodeCompressor | null = null;
  #promptPooler: PromptPooler | null = null;

  private constructor(
    readonly gpu: Gpu,
    readonly config: ModelConfig,
    readonly dimensions: Dimensions,
    readonly pool: BlockPool,
    readonly prefixIndex: PrefixIndex,
    /** `null` where no prefixes are kept. */
    readonly prefixRows: PrefixRows | null,
    readonly slots: SlotState,
    readonly prefiller: Prefiller,
    readonly compressor: Compressor,
    /** u32: score histograms and statistics by slot and layer. */
    readonly layerRecords: GPUBuffer,
    readonly recordLayout: RecordLayout,
    /** The batch that decodes, and its hidden states, logits and results. */
    readonly decodeRows: BatchRows,
    readonly sampler: Sampler,
    readonly decoder: Decoder,
    /** The same for the first tokens of prompts that have just been prefilled. */
    readonly firstRows: BatchRows,
    readonly firstSampler: Sampler,
    private readonly arenas: readonly GPUBuffer[],
    private readonly outputNorm: GPUBuffer,
  ) {}

  /** What makes vectors of prompts; made when it is first asked for. */
  promptPooler(): PromptPooler {
    const { gpu, dimensions, prefiller, outputNorm } = this;
    return this.#promptPooler ??= new PromptPooler(gpu, dimensions, prefiller.hidden, outputNorm);
  }

  /** What compresses the caches of running sequences; made when it is first asked for. */
  decodeCompressor(): DecodeCompressor {
    const { gpu, dimensions, arenas, slots, layerRecords } = this;
    return this.#decodeCompressor ??= new DecodeCompressor(
      gpu,
      { ...this.compressor.options, capacity: dimensions.positions },
      arenas,
      slots.tables,
      layerRecords,
    );
  }

  /**
   * Uploads the weights, allocates the cache and compiles the kernels.
   *
   * @throws {ModelFileError} when the file cannot be run
   * @throws {SizeError} when the KV cache does not fit into this adapter's memory @throws {BindingLimitError} when a buffer exceeds its bindings
   */
  static async load(
    gpu: Gpu,
    file: ModelFile,
    config: ModelConfig,
    serving: ServingOptions,
    onProgress: (progress: LoadProgress) => void = () => {},
  ): Promise<Model> {
    const dimensions = dimensionsOf(config, serving);
    // First, so that a size that cannot be is known before anything large has been read.
    const arenaBlocks = arenaSizes(gpu, dimensions, serving.kvMemory);
    const arenas = await makeArenas(gpu, arenaBlocks, dimensions);
    const weights = await loadWeights(
      gpu,
      file,
      config,
      ({ tensors, bytes }) => {
        const { size: total } = file.tensors;
        onProgress({ stage: "tensors", done: Math.min(tensors, total), total, bytes, totalBytes: file.tensorBytes });
      },
    );
    const shaders = (done: number) => onProgress({ stage: "shaders", done, total: 3 });
    shaders(0);
    const table = gpu.upload("RoPE table", ropeTable(config.rope, dimensions.positions));
    const pool = new BlockPool({
      arenas: arenaBlocks,
      blockBytes: dimensions.blockBytes,
      layerCount: config.layerCount,
    });
    const { prefixCache = 0 } = serving;
    const prefixBlocks = Math.floor(prefixCache / dimensions.blockBytes);
    const prefixIndex = new PrefixIndex(pool, config.layerCount, prefixBlocks, REHEARSAL_CHUNK);
    const slots = new SlotState(gpu, dimensions);
    const decodeRows = new BatchRows(slots);
    const sampler = new Sampler(gpu, dimensions, weights, decodeRows, MAX_STEPS);
    const decoder = new Decoder(gpu, dimensions, weights, table, arenas, decodeRows, sampler);
    const firstRows = new BatchRows(slots);
    const firstSampler = new Sampler(gpu, dimensions, weights, firstRows, 1);
    shaders(1);
    const prefiller = new Prefiller(gpu, dimensions, weights, table);
    shaders(2);
    const recordLayout = new RecordLayout(dimensions.maxBatch, config.layerCount, config.kvHeadCount);
    const layerRecords = gpu.createBuffer("layer records", recordLayout.words * 4);
    const { kvHeadCount, queryHeadCount, headSize, rope } = config;
    const compressor = new Compressor(gpu, {
      kvHeadCount,
      queryHeadCount,
      headSize,
      element: dimensions.kvElement,
      capacity: dimensions.packRows,
      rotary: { frequencies: ropeFrequencies(rope, dimensions.positions), pairing: rope.pairing },
    }, {
      keys: prefiller.keys,
      values: prefiller.values,
      windowQueries: prefiller.windowQueries,
      tileQueries: prefiller.queries,
      layerRecords,
      table: slots.tables,
      ropeTable: table,
    });
    for (const arena of arenas) compressor.addArena(arena);
    const { keys, values } = prefiller;
    const prefixRows = prefixIndex.isOn
      ? new PrefixRows(gpu, dimensions, prefixIndex, { keys, values, indices: compressor.indices, arenas })
      : null;
    shaders(3);
    return new Model(
      gpu,
      config,
      dimensions,
      pool,
      prefixIndex,
      prefixRows,
      slots,
      prefiller,
      compressor,
      layerRecords,
      recordLayout,
      decodeRows,
      sampler,
      decoder,
      firstRows,
      firstSampler,
      arenas,
      weights.outputNorm,
    );
  }
}

/** Blocks of each arena: as many as fit into `bytes`, in buffers that a binding can hold. */
function arenaSizes(gpu: Gpu, { blockBytes }: Dimensions, bytes: number): number[] {
  const perArena = Math.floor(gpu.maxBindingBytes / blockBytes);
  const sizes: number[] = [];
  for (let blocks = Math.floor(bytes / blockBytes); blocks > 0; blocks -= perArena) {
    sizes.push(Math.min(blocks, perArena));
  }
  if (sizes.length === 0) {
    throw new SizeError(`--kv-memory is ${bytes} bytes: expected at least one block of ${blockBytes}`);
  }
  return sizes;
}

/** The buffers of the block pool. @throws {SizeError} when the adapter has no memory for them */
async function makeArenas(gpu: Gpu, sizes: readonly number[], { blockBytes }: Dimensions): Promise<GPUBuffer[]> {
  gpu.device.pushErrorScope("out-of-memory");
  const arenas = sizes.map((blocks, index) => gpu.createBuffer(`KV arena ${index}`, blocks * blockBytes));
  const error = await gpu.device.popErrorScope();
  if (error === null) return arenas;
  const bytes = blockBytes * sizes.reduce((sum, blocks) => sum + blocks, 0);
  throw new SizeError(
    `--kv-memory comes to ${
      (bytes / 2 ** 30).toFixed(1)
    } GiB, for which ${gpu.adapterName} has no memory left: expected less`,
  );
}
