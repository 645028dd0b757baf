/** @file What a sequence has from its admission to its end. */
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { EvictionBuffers } from "./eviction_buffers.ts";

export interface Residence {
  /** Its place in the engine's state, where no other sequence is. */
  readonly slot: number;
  /** Its blocks, all in one arena. */
  readonly cache: SequenceCache;
  /** What it has on the GPU for itself alone; `null` if nothing. */
  buffers: EvictionBuffers | null;
}
