/** @file `GET /version`. */
import type { Context } from "hono";
import project from "../../deno.json" with { type: "json" };

/** The version of this program. */
export const VERSION: string = project.version;

/** Handles `GET /version`. */
export function versionHandler(c: Context): Response {
  return c.json({ version: VERSION });
}
