/**
 * @file Scores the rows of a layer that lie in onnxruntime's memory: what steps ask of queries is computed there, once for each
 * KV head and number of queries.
 */
import type { AttentionStatistics } from "../scores/layer_record.ts";
import { REHEARSAL_CHUNK, type RehearsalChunk, rehearsalPosition } from "../scores/rehearsal.ts";
import { histogramOf } from "../scores/score_histogram.ts";
import type { ScoredLayer } from "../engine/layer_budgets.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import type { Score } from "../policy/steps.ts";
import type { AttendedRows, Forward } from "./forward.ts";
import type { HeapFloats } from "./runtime/onnxruntime.ts";
import { attentionStatistics } from "./steps/attention.ts";
import type { HostNumbers, KnownScores, ScoredRows, Scores } from "./steps/scored_rows.ts";
import { turnOn } from "./rotate.ts";
import { scoreRows } from "./steps/steps.ts";

/** The rows of one layer of one sequence. */
export interface LayerToScore {
  /** Counted from 0. */
  readonly index: number;
  readonly length: number;
  /** Rows at the end that get no score. */
  readonly window: number;
  /** Keys and values of a KV head, `[length, headSize]`, and the address of the first key. */
  keys(head: number): Float32Array;
  values(head: number): Float32Array;
  keyAddress(head: number): number;
  /** Queries of the last rows, `[row][queryHead][headSize]`; may be none. */
  readonly lastQueries: Float32Array;
  /** Queries of all rows, `[row][queryHead][headSize]`, where a step looks rows up. */
  readonly allQueries: Float32Array | null;
  /** What these saw of their chunks, `[row][queryHead][2]`, see tile_attention.ts; where a policy scores by chunks and a crew attends. */
  readonly chunkSums: Float32Array | null;
  /** What all queries so far paid to each row, by KV head, divided by their number; where a step asks. */
  readonly sums: readonly Float32Array[] | null;
  /** See {@link ScoredRows.knownScores}. */
  readonly knownScores: KnownScores | null;
}

/** Scores of a layer and what an allocator may look at; `statistics` only where they are wanted. */
export function scoreLayer(
  rows: LayerRowsInHeap,
  score: Score,
  policy: Pick<SequencePolicy, "perHead" | "exactScores" | "attentionStatistics">,
): { readonly scores: Scores; readonly seen: ScoredLayer } {
  const scores = scoreRows(rows, score);
  const headHistograms = scores.map(histogramOf);
  const statistics: AttentionStatistics | undefined = policy.attentionStatistics
    ? attentionStatistics(rows, rows.source.window)
    : undefined;
  const histogram = new Uint32Array(headHistograms[0].length);
  for (const head of headHistograms) head.forEach((count, bin) => histogram[bin] += count);
  return {
    scores,
    seen: {
      histogram,
      ...policy.perHead && { headHistograms },
      ...policy.exactScores && { scores: joined(scores) },
      ...statistics && { statistics },
    },
  };
}

/** Rows of a layer as steps see them. */
export class LayerRowsInHeap implements ScoredRows {
  /** Set before the rows are scored, where that is needed. */
  host: HostNumbers | null = null;
  readonly layer: number;
  readonly kvHeadCount: number;
  readonly group: number;
  readonly headSize: number;
  readonly length: number;
  readonly scored: number;
  readonly queries: number;
  readonly #attention = new Map<string, Float32Array>();

  constructor(readonly forward: Forward, readonly source: LayerToScore) {
    const { kvHeadCount, queryHeadCount, headSize } = forward.config;
    this.kvHeadCount = kvHeadCount;
    this.group = queryHeadCount / kvHeadCount;
    this.headSize = headSize;
    this.layer = source.index;
    this.length = source.length;
    this.scored = source.length - source.window;
    this.queries = source.lastQueries.length / forward.querySize;
  }

  get knownScores(): KnownScores | null {
    return this.source.knownScores;
  }

  keys(head: number): Float32Array {
    return this.source.keys(head);
  }

  values(head: number): Float32Array {
    return this.source.values(head);
  }

  attention(head: number, window: number): Float32Array {
    const name = `${head} ${window}`;
    let found = this.#attention.get(name);
    if (found === undefined) {
      const queries = this.#headQueries(head, window, (i) => this.queries - window + i, this.source.lastQueries);
      const seen = this.length - window + 1;
      const rows: AttendedRows = {
        queries,
        count: window,
        seen,
        keys: () => this.source.keyAddress(head),
        values: () => 0,
      };
      found = this.#taken(this.forward.probabilities(rows, 0), queries);
      this.#attention.set(name, found);
    }
    return found;
  }

  attentionOfAll(head: number): Float32Array {
    if (this.source.sums === null) throw new Error("Attention of all rows was not summed");
    return this.source.sums[head];
  }

  lookUp(head: number, rows: ArrayLike<number>, isHidden: (row: number) => boolean): Float32Array {
    if (this.source.allQueries === null) throw new Error("The queries of all rows were not kept");
    const queries = this.#headQueries(head, rows.length, (i) => rows[i], this.source.allQueries);
    const address = this.source.keyAddress(head);
    const seen = (row: number) => !isHidden(row);
    return this.#taken(this.forward.probabilitiesOf(queries, rows.length, address, this.scored, seen), queries);
  }

  attentionWithin(head: number, first: number, count: number): Float32Array {
    if (this.source.allQueries === null) throw new Error("The queries of all rows were not kept");
    const queries = this.#headQueries(head, count, (i) => first + i, this.source.allQueries);
    const root = Math.sqrt(this.headSize);
    queries.values.forEach((element, i) => queries.values[i] = element * root);
    const address = this.source.keyAddress(head) + first * this.headSize * 4;
    return this.#taken(this.forward.probabilitiesOf(queries, count, address, count, () => true), queries);
  }

  rehearsed({ first, count }: RehearsalChunk): Float32Array[] {
    const { headSize, kvHeadCount, group, forward: { querySize, rehearsalOnCrew } } = this;
    const { allQueries, chunkSums, keyAddress } = this.source;
    if (allQueries === null) throw new Error("The queries of all rows were not kept");
    const keys = (head: number) => keyAddress(head) + first * headSize * 4;
    if (rehearsalOnCrew === null) {
      return Array.from({ length: kvHeadCount }, (_, head) => this.#rehearsedByGraph(head, first, count, keys(head)));
    }
    const ofChunk = (values: Float32Array, size: number) => values.subarray(first * size, (first + count) * size);
    // The last chunk of a prompt may begin where none begins otherwise.
    const sums = first % REHEARSAL_CHUNK === 0 ? ofChunk(chunkSums!, 2 * group * kvHeadCount) : null;
    return rehearsalOnCrew.run(ofChunk(allQueries, querySize), sums, keys(0), keys(1) - keys(0));
  }

  #rehearsedByGraph(head: number, first: number, count: number, keys: number): Float32Array {
    const { headSize, group, forward: { ropeTable, rotary, runtime } } = this;
    const queries = this.#headQueries(head, count, (i) => first + i, this.source.allQueries!);
    const turned = runtime.floats(queries.values.length);
    turned.values.set(queries.values);
    const position = rehearsalPosition(count, ropeTable.length / headSize);
    for (let i = 0; i < group * count; i++) {
      turnOn(turned.values, i * headSize, position - i % count, ropeTable, headSize, rotary.pairing);
    }
    const result = this.#taken(this.forward.rehearsed(queries, turned, count, keys), queries);
    runtime.free(turned);
    return result;
  }

  plainKeys(head: number): Float32Array {
    const { headSize, length, forward: { ropeTable, rotary } } = this;
    const keys = this.source.keys(head).slice(0, length * headSize);
    const [step, distance] = rotary.pairing === "adjacent" ? [2, 1] : [1, headSize / 2];
    for (let row = 0; row < length; row++) {
      for (let pair = 0; pair < headSize / 2; pair++) {
        const a = row * headSize + pair * step;
        const [x, y] = [keys[a], keys[a + distance]];
        const turn = row * headSize + 2 * pair;
        const [cosine, sine] = [ropeTable[turn], ropeTable[turn + 1]];
        const squares = cosine ** 2 + sine ** 2;
        keys[a] = (x * cosine + y * sine) / squares;
        keys[a + distance] = (y * cosine - x * sine) / squares;
      }
    }
    return keys;
  }

  /** Queries of rows of one group, `[queryHead of the group][row][headSize]`: to be freed. */
  #headQueries(head: number, count: number, rowOf: (i: number) => number, source: Float32Array): HeapFloats {
    const { group, headSize, forward: { querySize, runtime } } = this;
    const queries = runtime.floats(group * count * headSize);
    for (let inGroup = 0; inGroup < group; inGroup++) {
      for (let i = 0; i < count; i++) {
        const at = rowOf(i) * querySize + (head * group + inGroup) * headSize;
        queries.values.set(source.subarray(at, at + headSize), (inGroup * count + i) * headSize);
      }
    }
    return queries;
  }

  #taken(result: HeapFloats, queries: HeapFloats): Float32Array {
    const copy = result.values.slice();
    this.forward.runtime.free(result);
    this.forward.runtime.free(queries);
    return copy;
  }
}

function joined(scores: Scores): Float32Array {
  const all = new Float32Array(scores.reduce((sum, { length }) => sum + length, 0));
  scores.forEach((own, head) => all.set(own, head * own.length));
  return all;
}
