/**
 * @file EbbKV: read-ahead for the question at the end of the prompt, and rehearsal for all that may be asked later, in one score. The rule
 * and what it is worth are in docs/policies.md.
 */
import { definePolicy, defineScorer, plus, rehearsal, z } from "ebb/policy";
import { dynamickvHeadsAllocator } from "./defensive.ts";
import { readaheadScorer, readaheadWindow } from "./readahead.ts";
import { rehearsalDefaults } from "./rehearsal.ts";

/**
 * Share of the prompt from which on there is room for what rehearsal finds: lookups find nothing more then, and without them a prompt need
 * not be read again where it is cached.
 */
const AMPLE = 0.03;

const options = z.strictObject({
  ...readaheadScorer.options.shape,
  lookups: readaheadScorer.options.shape.lookups
    .describe(
      `Best rows of a KV head whose queries look for further rows; where no default is set, as readahead has it for budgets below ${
        100 * AMPLE
      } % of the prompt, else none`,
    ),
  rehearsal: z.number().min(0).max(1000).default(4)
    .describe("What being found by the text itself counts beside being what its end leads to"),
});

/** What the end of the prompt leads to, and what the text would look up if it came again. */
export const ebbkvScorer = defineScorer({
  name: "ebbkv",
  description:
    "Scores a row by what the end of the prompt leads to, as readahead, and by what the rows around it would pay it if the same text came again",
  options,
  score(context, { rehearsal: weight, window = readaheadWindow(context.budget), ...given }) {
    const lookups = given.lookups ?? (context.budget >= AMPLE * context.promptLength ? 0 : undefined);
    const led = readaheadScorer.score(context, { window, ...given, lookups })!;
    return [...led, plus({ score: [rehearsal({ window })], weight })];
  },
});

/** Our own, for prompts that end with a question and for those that do not. */
export default definePolicy({
  name: "ebbkv",
  description:
    "Keeps what the end of the prompt leads to, then what the text would look up if it came again; the KV heads of all layers compete",
  scorer: ebbkvScorer,
  allocator: dynamickvHeadsAllocator,
  defaults: rehearsalDefaults,
});
