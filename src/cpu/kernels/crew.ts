/** @file A crew of threads that compute products of 8-bit weights together. */
import type { Onnxruntime } from "../runtime/onnxruntime.ts";
import {
  compileCrewModule,
  CONTROL,
  CONTROL_WORDS,
  type CrewExports,
  instantiateCrewModule,
  KINDS,
} from "./crew_module.ts";
import type { CrewStart } from "./crew_worker.ts";

/** A matrix of 8-bit weights in the module's memory: addresses in bytes. */
export interface Int8Matrix {
  /** i8, `outputs` times `columns` of them; see `weightIndex`. */
  readonly weights: number;
  /** f32 `[outputs]`. */
  readonly scales: number;
  /** A multiple of `OUTPUTS`; a multiple of `COLUMN_MULTIPLE`. */
  readonly outputs: number;
  readonly columns: number;
}

/** Outputs of a piece of a job: small enough that threads end at nearly the same time. */
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
    readonly workers: readonly Worker[],
  ) {
    this.#floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  }

  /** Starts a crew of as many threads as onnxruntime has, this one included. */
  static async start(runtime: Onnxruntime): Promise<Crew> {
    const { memory, threads } = runtime;
    const { address } = runtime.bytes(CONTROL_WORDS * 4);
    const words = new Int32Array(memory.buffer, address, CONTROL_WORDS);
    words.fill(0);
    words[CONTROL.kind] = KINDS.expand;
    const module = await compileCrewModule();
    const exports = await instantiateCrewModule(module, memory);
    const workers = await Promise.all(
      Array.from({ length: threads - 1 }, () => startWorker({ module, memory, control: address })),
    );
    return new Crew(address, words, exports, workers);
  }

  /**
   * Products of rows with a matrix.
   *
   * @param x address of i16 `[rows][columns]`
   * @param xScales address of f32 `[rows]`
   * @param y address of f32 `[rows][yStride]`, stride in bytes
   */
  multiply(matrix: Int8Matrix, rows: number, x: number, xScales: number, y: number, yStride: number): void {
    this.#run(KINDS.product, matrix, rows, x, xScales, y, yStride);
  }

  /** The weights as f32, `[outputs][columns]`, from address `y` on; rows are `yStride` bytes apart, a multiple of 32. */
  expand(matrix: Int8Matrix, y: number, yStride: number): void {
    this.#run(KINDS.expand, matrix, 0, 0, 0, y, yStride);
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

  /** Ends the other threads. */
  close(): void {
    this.words[CONTROL.kind] = KINDS.stop;
    this.exports.run(this.control, 0);
    for (const worker of this.workers) worker.terminate();
  }

  #run(
    kind: number,
    { weights, scales, outputs, columns }: Int8Matrix,
    rows: number,
    x: number,
    xScales: number,
    y: number,
    stride: number,
  ) {
    const { words } = this;
    words[CONTROL.piece] = PIECE;
    words[CONTROL.kind] = kind;
    words[CONTROL.outputs] = outputs;
    words[CONTROL.weights] = weights;
    words[CONTROL.scales] = scales;
    words[CONTROL.x] = x;
    words[CONTROL.xScales] = xScales;
    words[CONTROL.y] = y;
    words[CONTROL.columns] = columns;
    words[CONTROL.stride] = stride;
    words[CONTROL.rows] = rows;
    this.exports.run(this.control, Math.ceil(outputs / PIECE));
    this.jobs++;
  }
}

function startWorker(start: CrewStart): Promise<Worker> {
  const worker = new Worker(new URL("./crew_worker.ts", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve(worker);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`A thread of the CPU engine failed: ${event.message}`));
    };
    worker.postMessage(start);
  });
}
