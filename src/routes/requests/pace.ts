/** @file How slowly a body may come in. */

/** How slowly a body may come in. */
export interface BodyPace {
  /** Least bytes of a second, on average over each interval. */
  readonly bytesPerSecond: number;
  readonly intervalMilliseconds: number;
}

/** Slower than any modem; a client that trickles keeps a connection, and nothing else will ever end it. */
export const SLOWEST_BODY: BodyPace = { bytesPerSecond: 256, intervalMilliseconds: 10_000 };
