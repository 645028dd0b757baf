/**
 * @file The positions of a sequence's ranked rows on their way to the host, for requests that ask for them: copied layer by layer
 * while its prompt is read, and mapped with the results of the submit that has read them. Each layer has a buffer of its own, freed
 * when it has come: one that is being mapped could not take the next layer.
 *
 *     [kvHead][row]   best first, as top_rows has ranked them
 */
import type { Compressor } from "../compression/compressor.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { RankedPositions } from "./kept_positions.ts";

/** A layer that has been recorded. */
interface LayerCopy {
  readonly layer: number;
  /** Rows of a KV head. */
  readonly rows: number;
  readonly buffer: GPUBuffer;
}

/** The layers of one submit. */
export interface PositionTransfer {
  /** Starts mapping; await the result before {@link take}. */
  map(): Promise<void>;
  /** Takes the positions in, and frees their buffers. */
  take(): void;
}

export class PositionReport {
  /** By layer and KV head, of those that have come. */
  readonly #ranked: Uint32Array[][] = [];
  /** Those that no submit has been told of. */
  #recorded: LayerCopy[] = [];
  readonly #buffers = new Set<GPUBuffer>();
  #isDestroyed = false;

  constructor(readonly gpu: Gpu, readonly kvHeadCount: number) {}

  /** Of layers that have come; there may be more of them than are still kept. */
  readonly positions: RankedPositions = (layer, head) => this.#ranked[layer][head];

  /** Records the copy of the `ranked` best rows of each KV head of the layer ranked last. */
  record(
    recorder: Recorder,
    { indices, options: { capacity } }: Compressor,
    layer: number,
    ranked: number,
  ): void {
    const { gpu, kvHeadCount } = this;
    if (ranked === 0) {
      this.#ranked[layer] = Array.from({ length: kvHeadCount }, () => new Uint32Array());
      return;
    }
    const buffer = gpu.createBuffer("positions of kept rows", kvHeadCount * ranked * 4, GPUBufferUsage.MAP_READ);
    this.#buffers.add(buffer);
    for (let head = 0; head < kvHeadCount; head++) {
      recorder.copy(indices, head * capacity * 4, buffer, head * ranked * 4, ranked * 4);
    }
    this.#recorded.push({ layer, rows: ranked, buffer });
  }

  /** What has been recorded since it was last asked; it comes with the submit that is being recorded. */
  transfer(): PositionTransfer {
    const copies = this.#recorded;
    this.#recorded = [];
    return {
      map: async () => {
        if (this.#isDestroyed) return;
        await Promise.all(copies.map(({ buffer }) =>
          buffer.mapAsync(GPUMapMode.READ).catch((error) => {
            // The sequence has been aborted meanwhile: nobody reads it.
            if (!this.#isDestroyed) throw error;
          })
        ));
      },
      take: () => {
        if (this.#isDestroyed) return;
        for (const { layer, rows, buffer } of copies) {
          const words = new Uint32Array(buffer.getMappedRange().slice());
          this.#ranked[layer] = Array.from(
            { length: this.kvHeadCount },
            (_, head) => words.subarray(head * rows, (head + 1) * rows),
          );
          buffer.unmap();
          this.#free(buffer);
        }
      },
    };
  }

  /** Idempotent. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const buffer of this.#buffers) this.#free(buffer);
  }

  #free(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    this.gpu.destroyBuffer(buffer);
  }
}
