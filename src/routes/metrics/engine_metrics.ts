/** @file The metrics that the engine counts, as data: their names, and where the engine's statistics have them. */
import type { EngineStats } from "../../contract/engine.ts";

/** A metric that the engine counts; one value, or one per layer or policy. */
export interface EngineMetric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly value: (stats: EngineStats) => number | readonly number[] | Readonly<Record<string, number>>;
}

export const ENGINE_METRICS: readonly EngineMetric[] = [
  { name: "num_requests_running", type: "gauge", help: "Sequences that run", value: (stats) => stats.running },
  { name: "num_requests_waiting", type: "gauge", help: "Sequences in the queue", value: (stats) => stats.waiting },
  {
    name: "prompt_tokens_total",
    type: "counter",
    help: "Prompt tokens read",
    value: (stats) => stats.promptTokens,
  },
  {
    name: "generation_tokens_total",
    type: "counter",
    help: "Tokens generated",
    value: (stats) => stats.generatedTokens,
  },
  { name: "decode_steps_total", type: "counter", help: "Decode steps", value: (stats) => stats.decodeSteps },
  { name: "gpu_submits_total", type: "counter", help: "Submissions to the GPU", value: (stats) => stats.submits },
  {
    name: "gpu_dispatches_total",
    type: "counter",
    help: "Kernels that the GPU was told to run",
    value: (stats) => stats.dispatches,
  },
  {
    name: "encode_seconds_total",
    type: "counter",
    help: "CPU time taken to record GPU work",
    value: (stats) => stats.encodeSeconds,
  },
  {
    name: "kv_cache_usage_perc",
    type: "gauge",
    help: "Share of the KV cache blocks in use; 1 is all of them",
    value: (stats) => stats.blocksTotal > 0 ? stats.blocksUsed / stats.blocksTotal : 0,
  },
  { name: "kv_blocks", type: "gauge", help: "KV cache blocks", value: (stats) => stats.blocksTotal },
  {
    name: "kv_blocks_used",
    type: "gauge",
    help: "KV cache blocks in use, by layer",
    value: (stats) => stats.blocksUsedPerLayer,
  },
  {
    name: "kv_blocks_peak",
    type: "gauge",
    help: "Most KV cache blocks that were in use at once",
    value: (stats) => stats.blocksPeak,
  },
  {
    name: "kv_blocks_cached",
    type: "gauge",
    help: "KV cache blocks that the prefix cache keeps; those that no sequence uses do not count as used",
    value: (stats) => stats.blocksCached,
  },
  {
    name: "prefix_cache_queries_total",
    type: "counter",
    help: "Prompt tokens looked for in the prefix cache",
    value: (stats) => stats.prefixQueries,
  },
  {
    name: "prefix_cache_hits_total",
    type: "counter",
    help: "Prompt tokens found in the prefix cache, and not read again",
    value: (stats) => stats.prefixHits,
  },
  { name: "kv_block_bytes", type: "gauge", help: "Bytes of a KV cache block", value: (stats) => stats.blockBytes },
  {
    name: "kv_rebalances_total",
    type: "counter",
    help: "Times that a policy allotted the layers' budgets",
    value: (stats) => stats.rebalances,
  },
  {
    name: "kv_rebalance_seconds_total",
    type: "counter",
    help: "Time that policies took to allot budgets",
    value: (stats) => stats.rebalanceSeconds,
  },
  {
    name: "kv_decode_evictions_total",
    type: "counter",
    help: "Times that rows of a sequence were evicted while it generated",
    value: (stats) => stats.decodeEvictions,
  },
  {
    name: "kv_rows_evicted_total",
    type: "counter",
    help: "Rows that policies dropped, by layer",
    value: (stats) => stats.evictedRowsPerLayer,
  },
  {
    name: "kv_policy_fallbacks_total",
    type: "counter",
    help: "Times that a policy failed and uniform budgets took its place, by policy",
    value: (stats) => stats.policyFallbacks,
  },
  {
    name: "kv_unusable_scores_total",
    type: "counter",
    help: "Scores by kernels of plugins that were no numbers of at least 0 and count as 0, by policy",
    value: (stats) => stats.unusableScores,
  },
  { name: "gpu_memory_bytes", type: "gauge", help: "GPU memory in use", value: (stats) => stats.gpuBytes },
];
