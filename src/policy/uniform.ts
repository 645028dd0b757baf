/** @file The allocator of policies that have none of their own: the same number of rows for every layer. */
import { z } from "zod";
import type { Allocator } from "./policy.ts";

/** Every layer keeps what the budget leaves beside the window. */
export const uniformAllocator: Allocator = {
  kind: "allocator",
  name: "uniform",
  description: "Gives every layer the same",
  options: z.strictObject({}),
  perHead: false,
  schedule: ({ base, layerCount }) => ({ provisionalRows: base, interval: layerCount }),
  allot: (layers, { base }) => layers.map(({ heldRows }) => Math.min(heldRows, base)),
};
