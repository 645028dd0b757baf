/** @file A crew of threads that compute products of 8-bit weights together. */
import type { Onnxruntime } from "../runtime/onnxruntime.ts";
import { type CrewExports, instantiateCrewModule } from "./crew_exports.ts";
import { compileCrewModule, CONTROL, CONTROL_WORDS, KINDS } from "./crew_module.ts";
import type { CrewStart } from "./crew_worker.ts";

/** A matrix of 8-bit weights in the module's memory: addresses in bytes. */
export interface Int8Matrix {
  /** i8, `outputs` times `columns` of them; see `weightIndex`. */
  readonly weights: number;
  /** f32; see `scaleIndex`. */
  readonly scales: number;
  /** Columns that share a scale: a multiple of `COLUMN_MULTIPLE`, at most `LARGEST_GROUP`. */
  readonly group: number;
  /** A multiple of `OUTPUTS`; a multiple of `COLUMN_MULTIPLE`. */
  readonly outputs: number;
  readonly columns: number;
}

/** Rows on their way into a product, in the module's memory. */
export interface RoundedRows {
  /** i16 `[rows][columns]`. */
  readonly address: number;
  /** Address of f32 `[rows]`. */
  readonly scales: number;
  /** Those of the matrix. */
  readonly columns: number;
}

/** What becomes of rows before they are rounded; `weights` is the address of a norm's. */
export type RowsMade =
  | { readonly by: "roundPlain" | "roundGated" }
  | { readonly by: "roundNormed"; readonly weights: number; readonly epsilon: number };

/** The module of a crew's threads. */
export const CREW_WORKER = new URL("./crew_worker.ts", import.meta.url);

/** How a crew gets threads beside the one that it is started in. */
export interface OtherThreads {
  readonly count: number;
  /** Has one started: it runs {@link CREW_WORKER} and gets `start` as its first message. */
  readonly begin: (start: CrewStart) => void;
}

/** Rows of a piece of a rounding. */
const ROWS_OF_PIECE = 4;
/** Outputs of a piece of a product: small enough that threads end at nearly the same time. */
const PIECE = 64;

export class Crew {
  /** Jobs that have been done. */
  jobs = 0;
  /** The control record's words as floats. */
  readonly #floats: Float32Array;

  private constructor(
    readonly control: number,
    readonly words: Int32Array,
    readonly exports: CrewExports,
  ) {
    this.#floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  }

  /**
   * Starts a crew. It works from then on: threads join when they have started.
   *
   * @param others the threads beside this one
   * @param scratchBytes that each thread gets to work in: as many as tile_attention.ts and rehearsal.ts say
   */
  static async start(
    runtime: Onnxruntime,
    { count, begin }: OtherThreads,
    scratchBytes = 0,
  ): Promise<Crew> {
    const { memory } = runtime;
    const { address } = runtime.bytes(CONTROL_WORDS * 4);
    const words = new Int32Array(memory.buffer, address, CONTROL_WORDS);
    words.fill(0);
    words[CONTROL.kind] = KINDS.product;
    const module = await compileCrewModule();
    const scratch = () => runtime.bytes(scratchBytes).address;
    for (let i = 0; i < count; i++) begin({ module, memory, control: address, scratch: scratch() });
    const exports = await instantiateCrewModule(module, memory);
    exports.own(scratch());
    return new Crew(address, words, exports);
  }

  /**
   * Products of rows with a matrix.
   *
   * @param x address of i16 `[rows][columns]`
   * @param xScales address of f32 `[rows]`
   * @param y address of f32 `[rows][yStride]`, stride in bytes
   */
  multiply(matrix: Int8Matrix, rows: number, x: number, xScales: number, y: number, yStride: number): void {
    const { weights, scales, group, outputs, columns } = matrix;
    const { words } = this;
    words[CONTROL.piece] = PIECE;
    words[CONTROL.kind] = KINDS.product;
    words[CONTROL.outputs] = outputs;
    words[CONTROL.weights] = weights;
    words[CONTROL.scales] = scales;
    words[CONTROL.group] = group;
    words[CONTROL.x] = x;
    words[CONTROL.xScales] = xScales;
    words[CONTROL.y] = y;
    words[CONTROL.columns] = columns;
    words[CONTROL.stride] = yStride;
    words[CONTROL.rows] = rows;
    this.exports.run(this.control, Math.ceil(outputs / PIECE));
    this.jobs++;
  }

  /**
   * Rounds rows for a product, see row_rounding.ts.
   *
   * @param x address of f32 rows, `stride` bytes apart, of which `count` elements each count
   */
  round(x: number, stride: number, count: number, rows: number, target: RoundedRows, made: RowsMade): void {
    const { words } = this;
    words[CONTROL.piece] = ROWS_OF_PIECE;
    words[CONTROL.kind] = KINDS[made.by];
    words[CONTROL.outputs] = rows;
    words[CONTROL.x] = x;
    words[CONTROL.stride] = stride;
    words[CONTROL.rows] = count;
    words[CONTROL.y] = target.address;
    words[CONTROL.xScales] = target.scales;
    words[CONTROL.columns] = target.columns;
    if (made.by === "roundNormed") {
      words[CONTROL.weights] = made.weights;
      this.#floats[CONTROL.epsilon] = made.epsilon;
    }
    this.exports.run(this.control, Math.ceil(rows / ROWS_OF_PIECE));
    this.jobs++;
  }

  /**
   * Attention of single rows, see row_attention.ts.
   *
   * @param records address of the records, and how many there are
   * @param group query heads of each KV head
   */
  attend(records: number, count: number, group: number, headSize: number): void {
    const { words } = this;
    words[CONTROL.piece] = 1;
    words[CONTROL.kind] = KINDS.attend;
    words[CONTROL.outputs] = count;
    words[CONTROL.x] = records;
    words[CONTROL.rows] = group;
    words[CONTROL.stride] = headSize * 4;
    this.#floats[CONTROL.xScales] = 1 / Math.sqrt(headSize);
    this.exports.run(this.control, count);
    this.jobs++;
  }

  /** Causal attention of a tile, see tile_attention.ts. @param record its address; `pieces` of all KV heads together */
  attendTile(record: number, pieces: number): void {
    this.#runRecord(KINDS.attendTile, record, pieces);
  }

  /** Scores of a chunk by its own queries, see rehearsal.ts. @param record its address; `pieces` of all KV heads together */
  rehearse(record: number, pieces: number): void {
    this.#runRecord(KINDS.rehearse, record, pieces);
  }

  #runRecord(kind: number, record: number, pieces: number): void {
    const { words } = this;
    words[CONTROL.piece] = 1;
    words[CONTROL.kind] = kind;
    words[CONTROL.outputs] = pieces;
    words[CONTROL.x] = record;
    this.exports.run(this.control, pieces);
    this.jobs++;
  }

  /** Has the other threads end, those too that have not started yet. */
  close(): void {
    this.words[CONTROL.kind] = KINDS.stop;
    this.exports.run(this.control, 0);
  }
}
