/** @file Seeded random numbers: the same samples in every run, on every machine. */

/** The next number in [0, 1). */
export type Random = () => number;

/** A generator (mulberry32) that is set by all of the keys, such as a seed, a task's name and a sample's index. */
export function seededRandom(...keys: readonly (string | number)[]): Random {
  let state = hash(keys.join("/"));
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** FNV-1a, over UTF-16 units. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return state;
}

/** A whole number in [low, high]. */
export function randomInteger(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

export function pick<T>(random: Random, items: ArrayLike<T>): T {
  return items[randomInteger(random, 0, items.length - 1)];
}

/** `count` different places of a list, in random order; all of them shuffle it. */
export function pickDifferent<T>(random: Random, items: readonly T[], count: number): T[] {
  if (count > items.length) throw new RangeError(`Cannot pick ${count} of ${items.length} items`);
  const rest = [...items];
  for (let i = 0; i < count; i++) {
    const j = randomInteger(random, i, rest.length - 1);
    [rest[i], rest[j]] = [rest[j], rest[i]];
  }
  return rest.slice(0, count);
}

export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return pickDifferent(random, items, items.length);
}

/** Draws until something comes that is not in `used`, and puts it there. */
export function drawNew(used: Set<string>, draw: () => string): string {
  let drawn = draw();
  while (used.has(drawn)) drawn = draw();
  used.add(drawn);
  return drawn;
}
