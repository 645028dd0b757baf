/** @file What a sequence has from its admission to its end. */
import type { PrefixLease } from "../cache/cached_prefix.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { EvictionBuffers } from "./eviction_buffers.ts";
import type { PositionReport } from "./position_report.ts";

export interface Residence {
  /** Its place in the engine's state, where no other sequence is. */
  readonly slot: number;
  /** Its blocks, all in one arena. */
  readonly cache: SequenceCache;
  /** What was found of its prompt; `null` once the prompt is being read, see prompt_prefix.ts. */
  prefix: PrefixLease | null;
  /** What it has on the GPU for itself alone; `null` if nothing. */
  buffers: EvictionBuffers | null;
  /** The positions of its ranked rows, where it reports them, until its prompt has been read. */
  positions: PositionReport | null;
}
