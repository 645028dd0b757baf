/** @file `GET /metrics`. */
import type { Context } from "hono";
import type { ServerContext } from "../context.ts";

/** `GET /metrics`. An engine that cannot answer costs its own metrics only. */
export function metricsHandler({ metrics, reportError }: ServerContext) {
  return async (c: Context): Promise<Response> => {
    const text = await metrics.render((error) => void reportError(error, c.get("requestId")));
    return c.body(text, 200, { "content-type": metrics.contentType });
  };
}
