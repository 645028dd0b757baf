/** @file `GET /health`: 200 when requests are taken, 503 and the reason when not. */
import type { Context } from "hono";
import type { RouteContext } from "./context.ts";
import { engineState } from "./readiness.ts";

/** Handles `GET /health`. */
export function healthHandler(context: RouteContext) {
  return (c: Context): Response => {
    const state = engineState(context);
    return state === "ready" ? c.json({ status: "ok", device: context.engine.device }) : c.json({ status: state }, 503);
  };
}
