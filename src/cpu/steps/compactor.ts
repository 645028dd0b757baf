/** @file Scores by the attention of the rows around a row, and by the leverage of its key: see kernels/scoring/{chunk_attention,leverage_scores}.ts. */
import type { ChunkAttention } from "../../policy/steps/chunk_attention.ts";
import type { Leverage } from "../../policy/steps/leverage.ts";
import { leverageOf } from "../../scores/leverage.ts";
import { ATTENTION_CHUNK, LEVERAGE_CHUNK } from "../../scores/sketch.ts";
import { byChunk } from "./by_chunk.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of `chunkAttention`. */
export const scoreByChunkAttention: CpuStep<ChunkAttention> = (rows) => {
  const { group } = rows;
  return byChunk(rows, ATTENTION_CHUNK, (head, first, count) => {
    const paid = rows.attentionWithin(head, first, count);
    const sums = new Float64Array(count);
    paid.forEach((share, i) => sums[i % count] += share / group);
    return sums;
  });
};

/** The CPU half of `leverage`. */
export const scoreByLeverage: CpuStep<Leverage> = (rows) => {
  const { headSize, kvHeadCount } = rows;
  const plain = Array.from({ length: kvHeadCount }, (_, head) => rows.plainKeys(head));
  return byChunk(
    rows,
    LEVERAGE_CHUNK,
    (head, first, count) => leverageOf(plain[head].subarray(first * headSize, (first + count) * headSize), headSize),
  );
};
