/** @file Whether requests are taken, and the one 503 for when they are not. */
import type { Engine } from "../contract/engine.ts";
import type { RouteContext, ServerContext } from "./context.ts";
import { HttpError } from "./errors.ts";

const UNAVAILABLE = {
  loading: { code: "model_loading", message: "The model is still loading; try again soon" },
  draining: { code: "shutting_down", message: "The server is shutting down" },
  restarting: {
    code: "engine_restarting",
    message: "The engine has failed and is being started again; try again soon",
  },
  failed: {
    code: "engine_failed",
    message: "The engine has failed and must be restarted; the server's log has the cause",
  },
};

/** Why no requests are taken. */
export type UnavailableState = keyof typeof UNAVAILABLE;

/** The 503 that says why no requests are taken. */
export function unavailableError(state: UnavailableState): HttpError {
  const { message, code } = UNAVAILABLE[state];
  return new HttpError(503, message, { code });
}

/** The engine's state, as clients should see it. */
export function engineState({ engine, drain }: Pick<RouteContext, "engine" | "drain">): Engine["state"] {
  return drain?.aborted && engine.state === "ready" ? "draining" : engine.state;
}

/** The server's state: that of its engine, unless it has several, of which each that fails costs its own requests. */
export function serverState({ models, drain }: Pick<ServerContext, "models" | "drain">): Engine["state"] {
  const all = models.list();
  const engine = all.length === 1 ? all[0].loaded?.engine : undefined;
  if (engine !== undefined) return engineState({ engine, drain });
  return drain?.aborted ? "draining" : "ready";
}

/** @throws {HttpError} 503 unless requests are taken */
export function requireReady(context: RouteContext): void {
  const state = engineState(context);
  if (state !== "ready") throw unavailableError(state);
}
