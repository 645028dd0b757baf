/** @file Texts of like lengths are run together, so that little is computed for padding. */
import type { EncoderBatch } from "./onnx_session.ts";

/** The tokens of a text, or of a pair. */
export interface TokenSequence {
  readonly ids: readonly number[];
  /** 1 for tokens of a pair's second text. */
  readonly types: readonly number[];
}

/** Tokens of a batch, padding included: more run no faster. */
const BATCH_TOKENS = 2048;

/** Groups of sequences, by their places, each of which fits into a batch; `alone`: one in each. */
export function groupByLength(sequences: readonly TokenSequence[], alone: boolean): number[][] {
  const byLength = sequences.map((_, at) => at).sort((a, b) => sequences[a].ids.length - sequences[b].ids.length);
  const groups: number[][] = [];
  for (const at of byLength) {
    const group = groups.at(-1);
    const fits = group !== undefined && (group.length + 1) * sequences[at].ids.length <= BATCH_TOKENS;
    if (fits && !alone) group.push(at);
    else groups.push([at]);
  }
  return groups;
}

/** Sequences as a batch, padded at their ends to the longest. */
export function batchOf(sequences: readonly TokenSequence[]): EncoderBatch {
  const tokens = Math.max(...sequences.map(({ ids }) => ids.length));
  const size = sequences.length * tokens;
  const [ids, mask, types] = [new BigInt64Array(size), new BigInt64Array(size), new BigInt64Array(size)];
  sequences.forEach((sequence, row) =>
    sequence.ids.forEach((id, column) => {
      const at = row * tokens + column;
      ids[at] = BigInt(id);
      mask[at] = 1n;
      types[at] = BigInt(sequence.types[column]);
    })
  );
  return { texts: sequences.length, tokens, ids, mask, types };
}
