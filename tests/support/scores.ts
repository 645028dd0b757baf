/** @file Plain f64 references of scoring, pooling and ranking. */

/** One prompt of a pack and the observation window that scores it. */
export interface ScoredPrompt {
  readonly segmentIndex: number;
  readonly start: number;
  readonly length: number;
  readonly window: number;
}

export interface ScoreDims {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly headSize: number;
  /** Rows of keys per KV head. */
  readonly capacity: number;
  /** Rows of window queries per segment. */
  readonly maxWindow: number;
}

/**
 * Attention that the window pays to the rows before it: `[queryHead][row of the window][length - window]`.
 *
 * @param keys `[kvHead][capacity][headSize]`
 * @param windowQueries `[segment][maxWindow][queryHead][headSize]`, not scaled
 */
export function referenceWindowAttention(
  { kvHeadCount, queryHeadCount, headSize, capacity, maxWindow }: ScoreDims,
  { segmentIndex, start, length, window }: ScoredPrompt,
  keys: ArrayLike<number>,
  windowQueries: ArrayLike<number>,
): number[][][] {
  return Array.from({ length: queryHeadCount }, (_, head) => {
    const kvHead = Math.floor(head / (queryHeadCount / kvHeadCount));
    return Array.from({ length: window }, (_, i) => {
      const query = ((segmentIndex * maxWindow + i) * queryHeadCount + head) * headSize;
      const logits = Array.from({ length: length - window + i + 1 }, (_, j) => {
        const key = (kvHead * capacity + start + j) * headSize;
        let dot = 0;
        for (let d = 0; d < headSize; d++) dot += windowQueries[query + d] * keys[key + d];
        return dot / Math.sqrt(headSize);
      });
      const maximum = logits.reduce((a, b) => Math.max(a, b));
      const sum = logits.reduce((total, logit) => total + Math.exp(logit - maximum), 0);
      return logits.slice(0, length - window).map((logit) => Math.exp(logit - maximum) / sum);
    });
  });
}

/** Group mean of the attention that the window pays to the rows before it, summed over its rows: `[kvHead][length - window]`. */
export function referenceWindowScores(
  dims: ScoreDims,
  prompt: ScoredPrompt,
  keys: ArrayLike<number>,
  windowQueries: ArrayLike<number>,
): Float64Array[] {
  const attention = referenceWindowAttention(dims, prompt, keys, windowQueries);
  return groupMeans(dims, attention.map((rows) => columns(rows).map(total)));
}

/** CAKE's scores, `[kvHead][length - window]`, and how the window's attention is spread, over all heads. */
export function referenceWindowMoments(
  dims: ScoreDims,
  prompt: ScoredPrompt,
  keys: ArrayLike<number>,
  windowQueries: ArrayLike<number>,
  varianceWeight: number,
): { scores: Float64Array[]; entropy: number; variance: number } {
  const attention = referenceWindowAttention(dims, prompt, keys, windowQueries);
  const variances = attention.map((rows) =>
    columns(rows).map((column) => {
      const mean = total(column) / column.length;
      return column.length === 1 ? 0 : total(column.map((a) => (a - mean) ** 2)) / (column.length - 1);
    })
  );
  const scores = attention.map((rows, head) =>
    columns(rows).map((column, j) => total(column) / column.length + varianceWeight * variances[head][j])
  );
  return {
    scores: groupMeans(dims, scores),
    entropy: total(attention.flat(2).map((a) => a > 0 ? -a * Math.log(a) : 0)),
    variance: total(variances.flat()),
  };
}

function columns(rows: readonly number[][]): number[][] {
  return rows[0].map((_, j) => rows.map((row) => row[j]));
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Means over the query heads of each KV head. */
function groupMeans(
  { kvHeadCount, queryHeadCount }: ScoreDims,
  scores: readonly number[][],
): Float64Array[] {
  const group = queryHeadCount / kvHeadCount;
  return Array.from({ length: kvHeadCount }, (_, kvHead) => {
    const heads = scores.slice(kvHead * group, (kvHead + 1) * group);
    return Float64Array.from(columns(heads), (values) => total(values) / group);
  });
}

/** Largest mean attention of a query head of each group: `[kvHead][length - window]` (LAVa). */
export function referenceGroupMaxima(
  dims: ScoreDims,
  prompt: ScoredPrompt,
  keys: ArrayLike<number>,
  windowQueries: ArrayLike<number>,
): number[][] {
  const means = referenceWindowAttention(dims, prompt, keys, windowQueries)
    .map((rows) => columns(rows).map((column) => total(column) / prompt.window));
  const group = dims.queryHeadCount / dims.kvHeadCount;
  return Array.from(
    { length: dims.kvHeadCount },
    (_, kvHead) => columns(means.slice(kvHead * group, (kvHead + 1) * group)).map((column) => Math.max(...column)),
  );
}

/**
 * The most that any query of a KV head pays to each row once it has shared what a row gets evenly among the rows no farther than
 * `reach` from it: `[kvHead][length - window]` (DefensiveKV).
 */
export function referencePooledMaxima(
  dims: ScoreDims,
  prompt: ScoredPrompt,
  keys: ArrayLike<number>,
  windowQueries: ArrayLike<number>,
  reach: number,
): Float64Array[] {
  const group = dims.queryHeadCount / dims.kvHeadCount;
  const attention = referenceWindowAttention(dims, prompt, keys, windowQueries);
  return Array.from({ length: dims.kvHeadCount }, (_, kvHead) => {
    const most = new Float64Array(prompt.length - prompt.window);
    for (const row of attention.slice(kvHead * group, (kvHead + 1) * group).flat()) {
      const pooled = new Float64Array(row.length);
      row.forEach((a, i) => {
        const first = Math.max(0, i - reach);
        const end = Math.min(row.length, i + reach + 1);
        for (let j = first; j < end; j++) pooled[j] += a / (end - first);
      });
      pooled.forEach((a, j) => most[j] = Math.max(most[j], a));
    }
    return most;
  });
}

/** Mean absolute element of each row's value: `[kvHead][length]`. */
export function referenceValueNorms(
  dims: Pick<ScoreDims, "kvHeadCount" | "headSize" | "capacity">,
  prompt: Pick<ScoredPrompt, "start" | "length">,
  values: ArrayLike<number>,
): number[][] {
  return Array.from(
    { length: dims.kvHeadCount },
    (_, kvHead) => headKeys(dims, prompt, values, kvHead).map((row) => total(row.map(Math.abs)) / dims.headSize),
  );
}

/**
 * Attention that all queries of a prompt pay to each of its rows, group-meaned, over the length: `[kvHead][length]`.
 *
 * @param keys `[kvHead][capacity][headSize]`
 * @param queries `[row of the prompt][queryHead][headSize]`, not scaled
 */
export function referenceAttentionSums(
  { kvHeadCount, queryHeadCount, headSize, capacity }: Omit<ScoreDims, "maxWindow">,
  { start, length }: Pick<ScoredPrompt, "start" | "length">,
  keys: ArrayLike<number>,
  queries: ArrayLike<number>,
): Float64Array[] {
  const group = queryHeadCount / kvHeadCount;
  return Array.from({ length: kvHeadCount }, (_, kvHead) => {
    const sums = new Float64Array(length);
    for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
      for (let i = 0; i < length; i++) {
        const logits = Array.from({ length: i + 1 }, (_, j) => {
          const key = (kvHead * capacity + start + j) * headSize;
          let dot = 0;
          for (let d = 0; d < headSize; d++) dot += queries[(i * queryHeadCount + head) * headSize + d] * keys[key + d];
          return dot / Math.sqrt(headSize);
        });
        const maximum = logits.reduce((a, b) => Math.max(a, b));
        const sum = logits.reduce((total, logit) => total + Math.exp(logit - maximum), 0);
        logits.forEach((logit, j) => sums[j] += Math.exp(logit - maximum) / sum / group / length);
      }
    }
    return sums;
  });
}

/** Keys of one head of a prompt: `[length][headSize]`. */
function headKeys(
  { headSize, capacity }: Pick<ScoreDims, "headSize" | "capacity">,
  { start, length }: Pick<ScoredPrompt, "start" | "length">,
  keys: ArrayLike<number>,
  kvHead: number,
): number[][] {
  return Array.from({ length }, (_, j) => {
    const first = (kvHead * capacity + start + j) * headSize;
    return Array.from({ length: headSize }, (_, d) => keys[first + d]);
  });
}

/** `1 / (1 + |key|)`: `[kvHead][length]`. */
export function referenceKeyNorms(
  dims: Pick<ScoreDims, "kvHeadCount" | "headSize" | "capacity">,
  prompt: Pick<ScoredPrompt, "start" | "length">,
  keys: ArrayLike<number>,
): number[][] {
  return Array.from(
    { length: dims.kvHeadCount },
    (_, kvHead) => headKeys(dims, prompt, keys, kvHead).map((key) => 1 / (1 + Math.hypot(...key))),
  );
}

/** `1 - cos(key, mean of the unit keys)`: `[kvHead][length]`. */
export function referenceKeyDifferences(
  dims: Pick<ScoreDims, "kvHeadCount" | "headSize" | "capacity">,
  prompt: Pick<ScoredPrompt, "start" | "length">,
  keys: ArrayLike<number>,
): number[][] {
  return Array.from({ length: dims.kvHeadCount }, (_, kvHead) => {
    const rows = headKeys(dims, prompt, keys, kvHead);
    const mean = new Float64Array(dims.headSize);
    for (const key of rows) key.forEach((x, d) => mean[d] += x / Math.hypot(...key) / rows.length);
    return rows.map((key) =>
      1 - key.reduce((dot, x, d) => dot + x * mean[d], 0) / Math.hypot(...key) / Math.hypot(...mean)
    );
  });
}

/** 1-D pooling, stride 1, same length: `average` counts the zero padding, `maximum` ignores it. */
export function referencePool(
  scores: ArrayLike<number>,
  width: number,
  pooling: "average" | "maximum",
): Float64Array {
  const half = (width - 1) / 2;
  return Float64Array.from({ length: scores.length }, (_, j) => {
    const inside = Array.from({ length: width }, (_, i) => j - half + i).filter((i) => i >= 0 && i < scores.length);
    return pooling === "average"
      ? inside.reduce((sum, i) => sum + scores[i], 0) / width
      : inside.reduce((maximum, i) => Math.max(maximum, scores[i]), -Infinity);
  });
}

/** Scores spread over the `reach` rows that follow, `decay` times as much with every row; the first `sinks` stay as they are. */
export function referenceReadAhead(
  scores: ArrayLike<number>,
  decay: number,
  reach: number,
  sinks: number,
): Float64Array {
  const ahead = new Float64Array(scores.length);
  for (let i = 0; i < scores.length; i++) {
    const last = i < sinks ? i : Math.min(i + reach, scores.length - 1);
    for (let j = i; j <= last; j++) if (j === i || j >= sinks) ahead[j] += decay ** (j - i) * scores[i];
  }
  return ahead;
}

/**
 * What the queries of the `lookups` best rows find among the others: `[kvHead][scored]`, 0 for the best rows themselves.
 *
 * @param keys `[kvHead][capacity][headSize]`
 * @param queries `[row of the prompt][queryHead][headSize]`, not scaled
 * @param ahead `[kvHead][scored]`: what the rows are worth
 * @param sinks first rows that do not look
 */
export function referenceLookups(
  dims: Omit<ScoreDims, "maxWindow">,
  { start, scored, lookups, sinks }: { start: number; scored: number; lookups: number; sinks: number },
  keys: ArrayLike<number>,
  queries: ArrayLike<number>,
  ahead: readonly ArrayLike<number>[],
): Float64Array[] {
  const { kvHeadCount, queryHeadCount, headSize } = dims;
  const group = queryHeadCount / kvHeadCount;
  return Array.from({ length: kvHeadCount }, (_, kvHead) => {
    const rows = headKeys(dims, { start, length: scored }, keys, kvHead);
    const best = referenceTop(ahead[kvHead], lookups);
    const others = rows.keys().filter((j) => !best.includes(j)).toArray();
    const found = new Float64Array(scored);
    for (const row of best.filter((row) => row >= sinks)) {
      for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
        const query = (row * queryHeadCount + head) * headSize;
        const logits = others.map((j) =>
          rows[j].reduce((dot, key, d) => dot + key * queries[query + d], 0) / Math.sqrt(headSize)
        );
        const maximum = Math.max(...logits);
        const sum = total(logits.map((logit) => Math.exp(logit - maximum)));
        others.forEach((j, i) =>
          found[j] = Math.max(found[j], ahead[kvHead][row] * Math.exp(logits[i] - maximum) / sum)
        );
      }
    }
    return found;
  });
}

/** Positions of the `count` highest scores, highest first, ties by lower position. */
export function referenceTop(scores: ArrayLike<number>, count: number): number[] {
  return Array.from({ length: scores.length }, (_, j) => j)
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, count);
}

/** Scores over all magnitudes that occur, and some that the histogram clamps. */
export function scoresOfAllMagnitudes(random: () => number, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => random() < 0.05 ? 0 : 2 ** (-30 + 35 * random()));
}
