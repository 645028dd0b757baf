/** @file Prompts and models that a policy is tried on, and scores for them: ordinary ones, and each limit by itself. */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { PolicyContext } from "../context.ts";

const ORDINARY = { layerCount: 12, kvHeadCount: 4, headSize: 64, promptLength: 2000, budget: 200 };

/** Shapes that differ from the ordinary one in what their names say. */
const SHAPES: readonly Partial<typeof ORDINARY>[] = [
  {},
  { budget: 1 },
  { budget: 2 },
  { budget: 17 },
  { budget: 1999 },
  { budget: 2000 },
  { promptLength: 1, budget: 1 },
  { promptLength: 2, budget: 1 },
  { promptLength: 9, budget: 8 },
  { promptLength: 40, budget: 16 },
  { promptLength: 8000, budget: 64 },
  { layerCount: 1 },
  { layerCount: 2 },
  { layerCount: 61 },
  { kvHeadCount: 1 },
  { kvHeadCount: 8, headSize: 128, layerCount: 32 },
];

/** Every shape, once as a plain prompt and once as a chat. */
export const CASES: readonly PolicyContext[] = SHAPES.flatMap((shape) => {
  const sizes = { ...ORDINARY, ...shape };
  const { promptLength } = sizes;
  const context = { ...sizes, blockSize: BLOCK_ROWS };
  const part = Math.ceil(promptLength / 3);
  const plain = { ...context, messages: [{ role: "prompt", start: 0, end: promptLength }] };
  const chat = [{ role: "system", start: 0, end: part }, { role: "user", start: part, end: promptLength }];
  return [plain, { ...context, messages: chat }];
});

/** A case, for people. */
export function describeCase(
  { layerCount, kvHeadCount, headSize, promptLength, budget, messages }: PolicyContext,
): string {
  const what = messages.length > 1 ? "chat" : "prompt";
  return `a ${what} of ${promptLength} tokens, budget ${budget}, ${layerCount} layers, ${kvHeadCount} KV heads of ${headSize}`;
}

/**
 * Made-up scores of the layers of a model, `[kvHead][row]`: few rows matter much and many little, as attention is spread; in some
 * layers more evenly than in others, in one all rows alike, and in one none at all.
 */
export function madeUpScores({ layerCount, kvHeadCount }: PolicyContext, scoredRows: number): Float32Array[] {
  // Numerical Recipes' generator: the same scores each time.
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Array.from({ length: layerCount }, (_, layer) => {
    const power = 1 + layer % 5 * 3;
    const fixed = layer % 11 === 7 ? 0.25 : layer % 11 === 9 ? 0 : undefined;
    return Float32Array.from({ length: kvHeadCount * scoredRows }, () => fixed ?? random() ** power);
  });
}
