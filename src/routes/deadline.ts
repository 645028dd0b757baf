/** @file How long a request may take: the server's limit, or a shorter one that the request names. */
import type { MiddlewareHandler } from "hono";
import type { RouteEnvironment } from "./context.ts";
import { clipped, HttpError } from "./errors.ts";

/** The header by which a request names its limit, in seconds. */
const HEADER = "x-request-timeout";

/** Sets the time by which a request must have been answered. @param limitSeconds Default: none */
export function setDeadline(limitSeconds: number = Infinity): MiddlewareHandler<RouteEnvironment> {
  return async (c, next) => {
    const given = c.req.header(HEADER);
    if (given !== undefined && !(Number(given) > 0 && /^[\d.]+$/.test(given))) {
      throw new HttpError(400, `${HEADER} is ${JSON.stringify(clipped(given))}; expected a number of seconds above 0`, {
        param: HEADER,
      });
    }
    c.set("deadline", c.var.arrival + 1000 * Math.min(limitSeconds, given === undefined ? Infinity : Number(given)));
    await next();
  };
}

/** The longest time that a timer takes, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Calls back when a deadline has come. @returns what stops it */
export function atDeadline(deadline: number, callback: (error: HttpError) => void): () => void {
  const left = deadline - performance.now();
  if (left > LONGEST_TIMER) return () => {};
  const timer = setTimeout(() => {
    callback(
      new HttpError(504, "The request was not answered within its time; what it had come to is lost", {
        code: "request_timeout",
      }),
    );
  }, Math.max(0, left));
  return () => clearTimeout(timer);
}
