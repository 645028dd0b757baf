/** @file What the engine's thread counts from its start. */
import type { EngineStats } from "../contract/engine.ts";

export class Counters implements Partial<EngineStats> {
  promptTokens = 0;
  generatedTokens = 0;
  decodeSteps = 0;
  rebalances = 0;
  rebalanceSeconds = 0;
  decodeEvictions = 0;
  prefixQueries = 0;
  prefixHits = 0;
  readonly policyFallbacks: Record<string, number> = {};
  readonly unusableScores: Record<string, number> = {};
  encodeSeconds = 0;
  readonly evictedRowsPerLayer: number[];

  constructor(layerCount: number) {
    this.evictedRowsPerLayer = new Array(layerCount).fill(0);
  }

  /** @param rowsOf rows that a layer has lost */
  countEvicted(rowsOf: (layer: number) => number): void {
    const { evictedRowsPerLayer } = this;
    evictedRowsPerLayer.forEach((rows, layer) => evictedRowsPerLayer[layer] = rows + rowsOf(layer));
  }

  /** Rows of a prompt that were looked for in the prefix cache, and found there. */
  countPrefix(rows: number, found: number): void {
    this.prefixQueries += rows;
    this.prefixHits += found;
  }
}
