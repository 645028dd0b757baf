/** @file Attention of a tile of a prompt's rows, by a crew of threads. */
import type { ModelConfig } from "../architecture/config.ts";
import type { Crew } from "./kernels/crew.ts";
import { LARGEST_HEAD, QUERIES } from "./kernels/query_block.ts";
import { HEAD_MULTIPLE } from "./kernels/row_attention.ts";
import { TILE_RECORD, TILE_RECORD_WORDS } from "./kernels/tile_attention.ts";
import type { Onnxruntime } from "./runtime/onnxruntime.ts";

/** Whether the crew's kernel takes a model's heads. */
export function fitsTileKernel({ headSize }: ModelConfig): boolean {
  return headSize % HEAD_MULTIPLE === 0 && headSize <= LARGEST_HEAD;
}

type HeadSizes = Pick<ModelConfig, "headSize" | "kvHeadCount" | "queryHeadCount">;

/** Rows of a tile, and what they attend to; addresses and strides in bytes. */
export interface TileRows {
  /** f32, a row's query heads side by side. */
  readonly queries: number;
  readonly queryStride: number;
  readonly outputs: number;
  readonly outputStride: number;
  readonly count: number;
  /** Rows that the first of them sees; each sees one more than the one before it. */
  readonly seen: number;
  /** f32 `[rows][headSize]` of the first KV head, and how far the next one's are. */
  readonly keys: number;
  readonly values: number;
  readonly headStride: number;
  /**
   * f32 `[count][queryHead][2]`: of the logits of the rows that a row sees of its own chunk, the maximum, and the sum of exponentials with the
   * maximum taken away.
   */
  readonly chunkSums: number;
}

export class TileAttention {
  readonly #record: number;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;

  constructor(runtime: Onnxruntime, readonly config: HeadSizes, readonly crew: Crew) {
    const { address } = runtime.bytes(TILE_RECORD_WORDS * 4);
    this.#record = address;
    this.#words = new Int32Array(runtime.memory.buffer, address, TILE_RECORD_WORDS);
    this.#floats = new Float32Array(runtime.memory.buffer, address, TILE_RECORD_WORDS);
  }

  run(tile: TileRows): void {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const blocks = Math.ceil((tile.count + (tile.seen - 1) % QUERIES) / QUERIES);
    for (const [name, value] of Object.entries(tile)) this.#words[TILE_RECORD[name as keyof TileRows]] = value;
    this.#words[TILE_RECORD.group] = queryHeadCount / kvHeadCount;
    this.#words[TILE_RECORD.headBytes] = headSize * 4;
    this.#words[TILE_RECORD.blocks] = blocks;
    this.#words[TILE_RECORD.chunkSumsStride] = queryHeadCount * 8;
    this.#floats[TILE_RECORD.scale] = 1 / Math.sqrt(headSize);
    this.crew.attendTile(this.#record, blocks * kvHeadCount);
  }
}
