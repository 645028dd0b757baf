/** @file The same number of rows for every layer. */
import { z } from "zod";
import type { AllocatorPlugin } from "../../policy/policy.ts";

const options = z.strictObject({});

/** Every layer keeps what the budget leaves beside the window. */
export const uniformAllocator: AllocatorPlugin<typeof options> = {
  name: "uniform",
  apiVersion: 1,
  description: "Gives every layer the same",
  options,
  start: ({ base, layerCount }) => ({
    exactScores: false,
    provisionalRows: () => base,
    isRebalanceDue: (layer) => layer + 1 === layerCount,
    allot: (layers) => Uint32Array.from(layers, ({ heldRows }) => heldRows),
  }),
};
