/** @file Scores of the rows of a prompt's chunks by their own queries that are asked again, by a crew of threads. */
import type { ModelConfig } from "../architecture/config.ts";
import type { Rotary } from "../policy/context.ts";
import { REHEARSAL_CHUNK, REHEARSAL_DISTANCE, rehearsalPosition } from "../scores/rehearsal.ts";
import type { Crew } from "./kernels/crew.ts";
import { QUERIES } from "./kernels/query_block.ts";
import { REHEARSAL_RECORD, REHEARSAL_RECORD_WORDS } from "./kernels/rehearsal.ts";
import type { HeapFloats, Onnxruntime } from "./runtime/onnxruntime.ts";

type HeadSizes = Pick<ModelConfig, "headSize" | "kvHeadCount" | "queryHeadCount">;

/** What the kernel works on, in the module's memory. */
interface Rooms {
  /** `[REHEARSAL_CHUNK][queryHead][headSize]` */
  readonly queries: HeapFloats;
  /** `[REHEARSAL_CHUNK][queryHead][2]` */
  readonly sums: HeapFloats;
  /** `[kvHead][row of the chunk]` */
  readonly paid: HeapFloats;
  /** By positions that a query is turned on by: cosines `[headSize / 2]`, sines `[headSize / 2]`, times the scale. */
  readonly turns: HeapFloats;
}

export class RehearsalOnCrew {
  readonly #record: number;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #querySize: number;
  /** Made when first asked for. */
  #rooms: Rooms | null = null;

  /** @param ropeTable `[positions, headSize / 2, 2]`: cosines and sines */
  constructor(
    readonly runtime: Onnxruntime,
    readonly sizes: HeadSizes,
    readonly crew: Crew,
    readonly ropeTable: Float32Array,
    readonly pairing: Rotary["pairing"],
  ) {
    this.#querySize = sizes.queryHeadCount * sizes.headSize;
    const { address } = runtime.bytes(REHEARSAL_RECORD_WORDS * 4);
    this.#record = address;
    this.#words = new Int32Array(runtime.memory.buffer, address, REHEARSAL_RECORD_WORDS);
    this.#floats = new Float32Array(runtime.memory.buffer, address, REHEARSAL_RECORD_WORDS);
  }

  /**
   * Scores of a chunk's rows, `[count]` by KV head.
   *
   * @param queries of its rows, `[count][queryHead][headSize]`, at most {@link REHEARSAL_CHUNK} of them
   * @param sums of its rows, `[count][queryHead][2]`, as tile_attention.ts has them, where that knows the chunk; else they are computed
   * @param keys address of its first row's key of the first KV head, of `headStride` bytes from head to head
   */
  run(queries: Float32Array, sums: Float32Array | null, keys: number, headStride: number): Float32Array[] {
    const { kvHeadCount, queryHeadCount, headSize } = this.sizes;
    const count = queries.length / this.#querySize;
    const rooms = this.#rooms ??= this.#makeRooms();
    rooms.queries.values.set(queries);
    if (sums !== null) rooms.sums.values.set(sums);
    rooms.paid.values.fill(0, 0, kvHeadCount * count);
    const blocks = Math.ceil(count / QUERIES);
    const position = rehearsalPosition(count, this.ropeTable.length / headSize);
    const fields: { readonly [Field in Exclude<keyof typeof REHEARSAL_RECORD, "scale">]: number } = {
      queries: rooms.queries.address,
      queryStride: this.#querySize * 4,
      chunkSums: sums === null ? 0 : rooms.sums.address,
      chunkSumsStride: queryHeadCount * 8,
      keys,
      headStride,
      count,
      group: queryHeadCount / kvHeadCount,
      headBytes: headSize * 4,
      blocks,
      turn: rooms.turns.address + position * headSize * 4,
      isAdjacent: Number(this.pairing === "adjacent"),
      paid: rooms.paid.address,
    };
    for (const [name, value] of Object.entries(fields)) {
      this.#words[REHEARSAL_RECORD[name as keyof typeof fields]] = value;
    }
    this.#floats[REHEARSAL_RECORD.scale] = 1 / Math.sqrt(headSize);
    this.crew.rehearse(this.#record, blocks * kvHeadCount);
    return Array.from({ length: kvHeadCount }, (_, head) => rooms.paid.values.slice(head * count, (head + 1) * count));
  }

  #makeRooms(): Rooms {
    const { runtime, sizes: { kvHeadCount, queryHeadCount, headSize }, ropeTable } = this;
    const turns = Math.min(REHEARSAL_CHUNK + REHEARSAL_DISTANCE + 1, ropeTable.length / headSize);
    const rooms: Rooms = {
      queries: runtime.floats(REHEARSAL_CHUNK * this.#querySize),
      sums: runtime.floats(REHEARSAL_CHUNK * queryHeadCount * 2),
      paid: runtime.floats(kvHeadCount * REHEARSAL_CHUNK),
      turns: runtime.floats(turns * headSize),
    };
    const half = headSize / 2;
    for (let positions = 0; positions < turns; positions++) {
      for (let pair = 0; pair < half; pair++) {
        const at = positions * headSize;
        const cosine = ropeTable[at + 2 * pair];
        const sine = ropeTable[at + 2 * pair + 1];
        // The table's lengths are not 1 where a model lengthens what it rotates: queries have been lengthened already.
        const scale = 1 / (Math.hypot(cosine, sine) * Math.sqrt(headSize));
        rooms.turns.values[at + pair] = cosine * scale;
        rooms.turns.values[at + half + pair] = sine * scale;
      }
    }
    return rooms;
  }
}
