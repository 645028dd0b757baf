/** @file The policy that compresses nothing. */
import { definePolicy } from "ebb/policy";

/** Keeps every row of every layer, whatever the budget. */
export default definePolicy({
  name: "full",
  description: "Keeps the whole prompt in every layer",
  score: () => null,
});
