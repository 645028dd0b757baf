/** @file `GET /metrics`. */
import type { Context } from "hono";
import type { RouteContext } from "../context.ts";

/** `GET /metrics`. An engine that cannot answer costs its own metrics only. */
export function metricsHandler({ engine, metrics, reportError }: RouteContext) {
  return async (c: Context): Promise<Response> => {
    const stats = await engine.stats().catch((error) => {
      reportError(error, c.get("requestId"));
      return null;
    });
    return c.body(await metrics.render(stats), 200, { "content-type": metrics.contentType });
  };
}
