/** @file How many queries may ask what matters: fixed sizes of buffers on the GPU, and so limits of what a policy can ask for. */

/** Most rows at the end of a prompt whose queries score the rows before. */
export const MAX_WINDOW = 64;

/** The score of rows that are kept whatever it is: more than any other. */
export const PROTECTED_SCORE = 2 ** 120;

/** Most rows of a KV head whose own queries look for further rows. */
export const MAX_LOOKUPS = MAX_WINDOW;
