/** @file `GET /health`: 200 when requests are taken, 503 and the reason when not. */
import type { Context } from "hono";
import type { ServerContext } from "./context.ts";
import { serverState } from "./readiness.ts";

/** Handles `GET /health`. */
export function healthHandler(server: ServerContext) {
  return (c: Context): Response => {
    const state = serverState(server);
    const device = server.models.list().find(({ loaded }) => loaded !== undefined)?.loaded?.engine.device;
    return state === "ready" ? c.json({ status: "ok", device }) : c.json({ status: state }, 503);
  };
}
