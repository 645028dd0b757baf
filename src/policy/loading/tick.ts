/** @file The name of the function that the loops of a bundle call: see bounded_loops.ts. */
export const TICK = "__ebb_tick";
