/** @file Lets web pages of other origins call the API. */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";

/**
 * Answers preflights, and adds to every other reply the headers by which browsers show it to the pages of some origins
 * (https://fetch.spec.whatwg.org/#http-cors-protocol).
 *
 * @param origins such as `https://example.com`; `*` stands for any
 */
export function crossOrigin(origins: readonly string[]): MiddlewareHandler {
  return cors({
    origin: origins.includes("*") ? "*" : [...origins],
    allowMethods: ["GET", "HEAD", "POST"],
    // What clients log, and what they go by when they try again.
    exposeHeaders: ["x-request-id", "retry-after", "x-should-retry"],
    // In seconds. Without it a preflight holds for five, and about every request needs one of its own.
    maxAge: 3600,
  });
}
