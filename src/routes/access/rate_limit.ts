/** @file How many requests each client may send: a bucket of tokens that fills up again with time. */

/** What a limit says of one more request. */
export interface RateVerdict {
  readonly limit: number;
  /** Further requests that would be taken now. */
  readonly remaining: number;
  /** Seconds until the bucket is full again. */
  readonly fullIn: number;
  /** Seconds until a request is taken; 0 if this one is. */
  readonly retryIn: number;
}

/** Buckets by client. A client that has been silent for a minute has a full bucket, and is forgotten. */
export class RateLimiter {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** @param now the time in milliseconds */
  constructor(readonly now: () => number = () => performance.now()) {}

  /** Takes one request of a client's `requestsPerMinute`, which may come all at once. */
  take(client: string, requestsPerMinute: number): RateVerdict {
    const now = this.now();
    const perMillisecond = requestsPerMinute / 60_000;
    const bucket = this.#buckets.get(client) ?? { tokens: requestsPerMinute, at: now };
    const tokens = Math.min(requestsPerMinute, bucket.tokens + (now - bucket.at) * perMillisecond);
    const isTaken = tokens >= 1;
    const left = isTaken ? tokens - 1 : tokens;
    // Always the last one, so that those that come first have been silent longest.
    this.#buckets.delete(client);
    this.#buckets.set(client, { tokens: left, at: now });
    this.#forget(now);
    return {
      limit: requestsPerMinute,
      remaining: Math.floor(left),
      fullIn: (requestsPerMinute - left) / perMillisecond / 1000,
      retryIn: isTaken ? 0 : (1 - left) / perMillisecond / 1000,
    };
  }

  #forget(now: number): void {
    for (const [client, { at }] of this.#buckets) {
      if (now - at < 60_000) return;
      this.#buckets.delete(client);
    }
  }
}
