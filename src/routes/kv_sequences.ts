/** @file `GET /v1/kv/sequences`: what waits and runs now, and the cache rows that each sequence holds. */
import type { Context } from "hono";
import type { ServerContext } from "./context.ts";

/** Handles `GET /v1/kv/sequences`. */
export function kvSequencesHandler({ sequences }: ServerContext) {
  return (c: Context): Response => c.json({ object: "list", data: sequences.describe() });
}
