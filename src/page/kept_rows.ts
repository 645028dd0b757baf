/** @file Arithmetic of kept positions: who keeps a token, and how large a part of the layers and heads that is. */

/** As `usage.kv_cache.positions`: `[layer][kvHead][row]`, one list where all heads of a layer keep the same rows. */
export type Positions = readonly (readonly (readonly number[])[])[];

/** Steps of the colours of the heat map, beside the one for what nobody keeps. */
export const LEVELS = 4;

/** Of every token, the share of a layer's heads that keep it, from 0 to 1; of all layers' without one. */
export function keptShares(positions: Positions, tokens: number, layer?: number): Float64Array {
  const shares = new Float64Array(tokens);
  const layers = layer === undefined ? positions : positions.slice(layer, layer + 1);
  for (const heads of layers) {
    for (const rows of heads) for (const position of rows) shares[position] += 1 / heads.length / layers.length;
  }
  return shares;
}

/** The colour of a share: 0 for none, up to {@link LEVELS}. */
export function levelOf(share: number): number {
  // Sums of thirds miss whole steps by rounding.
  return Math.max(0, Math.min(LEVELS, Math.ceil(share * LEVELS - 1e-9)));
}

/** Of every layer, the share of its heads that keep a token. */
export function keptByLayer(positions: Positions, token: number): number[] {
  return positions.map((heads) => heads.filter((rows) => rows.includes(token)).length / heads.length);
}

/** A token and who keeps it, in words. */
export function describeToken(positions: Positions, tokens: readonly string[], at: number): string {
  const shares = keptByLayer(positions, at);
  const layers = shares.filter((share) => share > 0).length;
  const mean = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length);
  const text = tokens[at] === "" ? "a part of a character" : JSON.stringify(tokens[at]);
  const name = `Token ${at + 1} of ${tokens.length}, ${text}`;
  if (layers === 0) return `${name}: no layer keeps it.`;
  return `${name}: kept in ${layers} of ${shares.length} layers, by ${Math.round(100 * mean)} % of all heads.`;
}

/** Mean share that is kept of some tokens and of all others. */
export function keptInside(
  shares: ArrayLike<number>,
  start: number,
  end: number,
): { readonly inside: number; readonly outside: number } {
  const all = Array.from(shares);
  const mean = (some: readonly number[]) => some.reduce((sum, share) => sum + share, 0) / Math.max(1, some.length);
  return { inside: mean(all.slice(start, end)), outside: mean([...all.slice(0, start), ...all.slice(end)]) };
}

/** The tokens, from the first to the one behind the last, that the first occurrence of a text has a part in; `null` without one. */
export function tokensOf(tokens: readonly string[], text: string): { start: number; end: number } | null {
  const from = tokens.join("").indexOf(text);
  if (from < 0) return null;
  let characters = 0;
  const ends = tokens.map((token) => characters += token.length);
  const start = ends.findIndex((end) => end > from);
  return { start, end: ends.findIndex((end) => end >= from + text.length) + 1 };
}
