/** @file Attention of the rows of a decode step, one of each sequence, by a crew of threads: a record for each of its KV heads. */
import type { ModelConfig } from "../architecture/config.ts";
import type { LayerRows } from "./cache/layer_rows.ts";
import type { Crew } from "./kernels/crew.ts";
import { ATTENTION_RECORD, ATTENTION_RECORD_WORDS, HEAD_MULTIPLE } from "./kernels/row_attention.ts";
import type { HeapFloats, Onnxruntime } from "./runtime/onnxruntime.ts";

/** Whether the crew's kernel takes a model's heads. */
export function fitsCrew({ headSize }: ModelConfig): boolean {
  return headSize % HEAD_MULTIPLE === 0;
}

export class StepAttention {
  readonly #records: Int32Array;
  readonly #recordsAddress: number;
  /** Where logits become probabilities; grows with the caches. */
  #scores: HeapFloats;

  /** @param maxRows most rows of a step */
  constructor(readonly runtime: Onnxruntime, readonly config: ModelConfig, readonly crew: Crew, maxRows: number) {
    const words = maxRows * config.kvHeadCount * ATTENTION_RECORD_WORDS;
    const { address } = runtime.bytes(words * 4);
    this.#recordsAddress = address;
    this.#records = new Int32Array(runtime.memory.buffer, address, words);
    this.#scores = runtime.floats(0);
  }

  /**
   * Attention of row i to all that `caches[i]` holds.
   *
   * @param queries address of the first row's queries, rows `queryStride` bytes apart
   * @param outputs address of the first row's outputs, rows `outputStride` bytes apart
   */
  run(caches: readonly LayerRows[], queries: number, queryStride: number, outputs: number, outputStride: number): void {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const group = queryHeadCount / kvHeadCount;
    const groupBytes = group * headSize * 4;
    let scores = this.#reserveScores(caches);
    caches.forEach((cache, row) => {
      for (let head = 0; head < kvHeadCount; head++) {
        const at = (row * kvHeadCount + head) * ATTENTION_RECORD_WORDS;
        const rows = cache.rows(head);
        this.#records[at + ATTENTION_RECORD.queries] = queries + row * queryStride + head * groupBytes;
        this.#records[at + ATTENTION_RECORD.keys] = cache.keyAddress(head);
        this.#records[at + ATTENTION_RECORD.values] = cache.valueAddress(head);
        this.#records[at + ATTENTION_RECORD.rows] = rows;
        this.#records[at + ATTENTION_RECORD.scores] = scores;
        this.#records[at + ATTENTION_RECORD.output] = outputs + row * outputStride + head * groupBytes;
        scores += 4 * wholeVectors(rows);
      }
    });
    this.crew.attend(this.#recordsAddress, caches.length * kvHeadCount, group, headSize);
  }

  #reserveScores(caches: readonly LayerRows[]): number {
    let needed = 0;
    for (const cache of caches) {
      for (let head = 0; head < this.config.kvHeadCount; head++) needed += wholeVectors(cache.rows(head));
    }
    if (this.#scores.values.length < needed) {
      this.runtime.free(this.#scores);
      this.#scores = this.runtime.floats(2 * needed);
    }
    return this.#scores.address;
  }
}

function wholeVectors(count: number): number {
  return Math.ceil(count / 4) * 4;
}
