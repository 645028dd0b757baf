/** @file The policy that compresses nothing. */
import { z } from "zod";
import type { Policy } from "../policy/policy.ts";

/** Keeps every row of every layer, whatever the budget. */
export const full: Policy = {
  name: "full",
  apiVersion: 1,
  description: "Keeps the whole prompt in every layer",
  options: z.strictObject({}),
  start: () => null,
};
