/**
 * @file Compactor (Chari and Van Durme, arXiv 2507.08143): what of a text is worth keeping is asked of the text itself, a chunk at a time, so
 * that neither a question nor what stands before or behind a chunk changes it.
 *
 *     a[j]  what the 256 rows around row j pay to it, times the size of its value, pooled over 3 rows
 *     l[j]  the leverage of its key among the 512 around it: how little the others can stand in for it
 *     s[j]  z-score of a + (share of rows that are dropped) * z-score of l
 *
 * The heads of a layer compete as in Ada-KV. As in the authors' press for kvpress, the first 8 rows are kept. It departs from
 * the released code in that z-scores are those of a KV head, not of a layer; sketches of keys have signs instead of normal numbers; and
 * the ridge is a share of the mean variance, large enough for f32.
 */
import {
  chunkAttention,
  defaultWindow,
  definePolicy,
  defineScorer,
  leverage,
  normalise,
  plus,
  pool,
  positive,
  protect,
  valueNorm,
  z,
} from "ebb/policy";
import { adakvAllocator } from "./adakv.ts";

/** First rows, which are always kept. */
const FIRST = 8;

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
  leverage: z.number().min(0).max(100).optional()
    .describe("What leverage counts beside attention; where no default is set, the share of rows that are dropped"),
});

/** Attention and leverage within chunks of the prompt. */
export const compactorScorer = defineScorer({
  name: "compactor",
  description:
    "Scores a row by what the rows around it pay to it, and by how little other keys can stand in for its own",
  options,
  score({ budget, promptLength }, { window = defaultWindow(8, budget), leverage: given }) {
    const weight = given ?? Math.max(0, 1 - budget / promptLength);
    return [
      chunkAttention({ window }),
      valueNorm({ by: "row" }),
      pool({ width: 3, by: "average" }),
      normalise({ by: "z-score" }),
      plus({ score: [leverage({ window }), normalise({ by: "z-score" })], weight }),
      positive(),
      protect([{ start: 0, end: FIRST }]),
    ];
  },
});

/** Compactor, the KV heads of each layer competing. */
export default definePolicy({
  name: "compactor",
  description:
    "Keeps what the text around it attends to and no other key stands in for; the KV heads of each layer compete",
  scorer: compactorScorer,
  allocator: adakvAllocator,
});
