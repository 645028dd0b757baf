/**
 * @file The positions of a sequence's ranked rows on their way to the host: copied layer by layer while its prompt is read, mapped
 * once at its end. For requests that ask for them; a buffer of its own, freed when it has been read.
 *
 *     [layer][kvHead][row]   best first, as top_rows has ranked them
 */
import { rankedBudget } from "../cache/budgets.ts";
import type { Compressor } from "../compression/compressor.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import type { RankedPositions } from "./kept_positions.ts";

export class PositionReport {
  readonly #buffer: GPUBuffer;
  /** Room for the rows of a KV head. */
  readonly #rows: number;
  #isDestroyed = false;

  constructor(
    readonly gpu: Gpu,
    policy: SequencePolicy,
    { layerCount, kvHeadCount, budget, promptLength }: PolicyContext,
  ) {
    const provisional = Array.from({ length: layerCount }, (_, layer) => policy.provisionalRows(layer));
    // A policy that fails is replaced by uniform budgets: reckon with those too.
    this.#rows = Math.min(promptLength, Math.max(...provisional, rankedBudget(budget, policy.window)));
    const bytes = layerCount * kvHeadCount * this.#rows * 4;
    this.#buffer = gpu.createBuffer("positions of kept rows", Math.max(4, bytes), GPUBufferUsage.MAP_READ);
  }

  /** Records the copy of the `ranked` best rows of each KV head of the layer ranked last. */
  record(
    recorder: Recorder,
    { indices, options: { kvHeadCount, capacity } }: Compressor,
    layer: number,
    ranked: number,
  ): void {
    if (ranked === 0) return;
    for (let head = 0; head < kvHeadCount; head++) {
      recorder.copy(indices, head * capacity * 4, this.#buffer, this.#word(layer, head, kvHeadCount) * 4, ranked * 4);
    }
  }

  /** Starts mapping, once all layers have been submitted; await the result before {@link take}. */
  async map(): Promise<void> {
    if (this.#isDestroyed) return;
    await this.#buffer.mapAsync(GPUMapMode.READ).catch((error) => {
      // The sequence has been aborted meanwhile: nobody reads it.
      if (!this.#isDestroyed) throw error;
    });
  }

  /** The positions, which must have been mapped. Frees the buffer. */
  take(kvHeadCount: number): RankedPositions {
    const words = new Uint32Array(this.#buffer.getMappedRange().slice());
    this.#buffer.unmap();
    this.destroy();
    return (layer, head) => {
      const first = this.#word(layer, head, kvHeadCount);
      return words.subarray(first, first + this.#rows);
    };
  }

  /** Idempotent. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.gpu.destroyBuffer(this.#buffer);
  }

  #word(layer: number, head: number, kvHeadCount: number): number {
    return (layer * kvHeadCount + head) * this.#rows;
  }
}
