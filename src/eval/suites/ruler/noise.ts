/** @file The line that RULER repeats where nothing else is to be read. */

export const NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
