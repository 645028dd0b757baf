/** @file Asks for a key, and keeps each one to its rate. */
import type { MiddlewareHandler } from "hono";
import type { RouteEnvironment } from "../context.ts";
import { HttpError } from "../errors.ts";
import type { ApiKeys } from "./api_keys.ts";
import { RateLimiter } from "./rate_limit.ts";

/** Who may call, and how often. */
export interface AccessOptions {
  /** Every request but those to `/health` and the API's description must send one. Default: none is asked for. */
  readonly apiKeys?: ApiKeys;
  /** Requests for tokens that each key may send in a minute; without keys, all clients together. Default: no limit. */
  readonly requestsPerMinute?: number;
  /** The time in milliseconds, by which requests are counted. Default: `performance.now()`. */
  readonly now?: () => number;
}

const NO_KEY = { code: "invalid_api_key", headers: { "www-authenticate": "Bearer" } };

/** Refuses a request without a valid key with a 401. */
export function requireKey(apiKeys: ApiKeys): MiddlewareHandler<RouteEnvironment> {
  return async (c, next) => {
    if (apiKeys.areAskedFor) {
      // The second is Anthropic's way.
      const key = /^Bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? c.req.header("x-api-key");
      if (key === undefined) {
        throw new HttpError(401, "Missing API key; send it as 'Authorization: Bearer KEY'", NO_KEY);
      }
      const owner = apiKeys.ownerOf(key);
      if (owner === null) throw new HttpError(401, "Wrong API key", NO_KEY);
      c.set("keyOwner", owner);
    }
    await next();
  };
}

/** Refuses a request beyond a key's rate with a 429, and tells every reply how much of it is left, as OpenAI does. */
export function limitRate({ requestsPerMinute, now }: AccessOptions): MiddlewareHandler<RouteEnvironment> {
  const limiter = new RateLimiter(now);
  return async (c, next) => {
    const { keyOwner } = c.var;
    const limit = keyOwner?.requestsPerMinute ?? requestsPerMinute;
    if (limit === undefined || c.req.method !== "POST") return await next();
    const { remaining, fullIn, retryIn } = limiter.take(keyOwner?.name ?? "", limit);
    const headers = {
      "x-ratelimit-limit-requests": String(limit),
      "x-ratelimit-remaining-requests": String(remaining),
      "x-ratelimit-reset-requests": `${fullIn.toFixed(3)}s`,
    };
    if (retryIn > 0) {
      throw new HttpError(429, `More than ${limit} requests a minute; try again in ${Math.ceil(retryIn)} s`, {
        code: "rate_limit_exceeded",
        headers: { ...headers, "retry-after": String(Math.ceil(retryIn)) },
      });
    }
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    await next();
  };
}
