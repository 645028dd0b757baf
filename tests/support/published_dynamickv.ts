/**
 * @file The rule of the released DynamicKV code, written down plainly as an oracle: it keeps the ranked rows of every head in
 * lists, sorts all scores at every update, and cuts the lists. Fractions are exact (BigInt).
 */

/**
 * @param scores Of each layer: `[headCount x (promptLength - window)]`; the boundary of the top-k must have no ties
 * @returns Ranked rows of each layer after the last one
 */
export function publishedRows(
  scores: readonly Float32Array[],
  { headCount, promptLength, capacity, window, maximumRatio, interval }: {
    headCount: number;
    promptLength: number;
    capacity: number;
    window: number;
    maximumRatio: number;
    interval: number;
  },
): number[] {
  const layerCount = scores.length;
  const base = capacity - window;
  const prefix = promptLength - window;
  const maximum = Math.min(Math.trunc(maximumRatio * base), prefix);
  const caches: number[][][] = [];

  for (let last = 0; last < layerCount; last++) {
    caches.push(Array.from({ length: headCount }, (_, head) => {
      const own = Array.from(
        scores[last].subarray(head * prefix, (head + 1) * prefix),
        (score, row) => ({ score, row }),
      );
      return own.sort((a, b) => b.score - a.score).slice(0, maximum).map(({ row }) => row);
    }));
    if ((last + 1) % interval !== 0 && last !== layerCount - 1) continue;

    const seen = last + 1;
    const all = scores.slice(0, seen).flatMap((own, layer) => Array.from(own, (score) => ({ score, layer })));
    const top = all.sort((a, b) => b.score - a.score).slice(0, base * headCount * seen);
    const counts = Array<number>(seen).fill(0);
    for (const { layer } of top) counts[layer]++;
    for (let layer = 0; layer < seen; layer++) counts[layer] = Math.trunc(counts[layer] / seen);
    if (seen === layerCount) counts[last] += base * headCount - total(counts);

    const proportions = counts.map((count) => [BigInt(count), BigInt(total(counts))] as const);
    const grown = proportions.map(([part, whole]) => whole === 0n ? 0n : BigInt(maximum) * part / whole);
    const grownTotal = grown.reduce((a, b) => a + b);
    const budgets = grown.map((rows) => grownTotal === 0n ? 0 : Number(rows * BigInt(base * layerCount) / grownTotal));
    budgets[last] += base * layerCount - total(budgets);
    budgets.forEach((budget, layer) => {
      caches[layer] = caches[layer].map((rows) => rows.slice(0, Math.min(budget, prefix)));
    });
  }
  return caches.map(([firstHead]) => firstHead.length);
}

function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
