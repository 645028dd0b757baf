/** @file Where keys lead: among tabs, and among the kept tokens of a text. */

/** The tab that a key leads to, from 0 on; null where it leads nowhere. */
export function tabAfter(key: string, at: number, count: number): number | null {
  switch (key) {
    case "ArrowRight":
      return (at + 1) % count;
    case "ArrowLeft":
      return (at + count - 1) % count;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

/**
 * The kept token that a key leads to; null where it leads nowhere.
 *
 * @param at the token that it leads on from, if there is one
 * @param shares of every token, how much of the cache keeps it
 */
export function tokenAfter(key: string, at: number | null, shares: ArrayLike<number>): number | null {
  const kept = Array.from(shares, (share, token) => share > 0 ? token : -1).filter((token) => token >= 0);
  if (kept.length === 0) return null;
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return kept.find((token) => token > (at ?? -1)) ?? kept.at(-1)!;
    case "ArrowLeft":
    case "ArrowUp":
      return kept.findLast((token) => token < (at ?? Infinity)) ?? kept[0];
    case "Home":
      return kept[0];
    case "End":
      return kept.at(-1)!;
    default:
      return null;
  }
}
