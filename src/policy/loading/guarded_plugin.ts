/**
 * @file A plugin from a file, each of whose functions says where in the file it threw, and counts as having failed if it took
 * too long.
 */
import { policyOf } from "../define.ts";
import type { Allocator, Scorer } from "../policy.ts";
import type { AnyPlugin } from "../registry.ts";
import { functionsOf, withFunctions } from "../step_functions.ts";
import { uniformAllocator } from "../uniform.ts";
import type { CallClock } from "./call_clock.ts";
import { placed, type SourcePositions } from "./source_positions.ts";

/** The engine computes nothing for anybody while a plugin does: it is asked no more once a call computed for longer. */
const CALL_MILLISECONDS = 1000;
/** The same of functions of a score's steps, of which it is known that they take long. */
const STEP_MILLISECONDS = 10_000;

/** The plugins of a file, guarded. Halves that they share are shared still, and Ebb's own are left as they are. */
export function guardedPlugins(
  plugins: readonly AnyPlugin[],
  positions: SourcePositions,
  clock: CallClock,
): AnyPlugin[] {
  const run = <Result>(milliseconds: number, what: string, call: () => Result): Result => {
    try {
      return clock.within(milliseconds, what, call);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(placed(message, positions.ofError(error)), { cause: error });
    }
  };
  const watch =
    <Given extends unknown[], Result>(what: string, call: (...given: Given) => Result) => (...given: Given) =>
      run(CALL_MILLISECONDS, `${what}()`, () => call(...given));
  const made = new Map<Scorer | Allocator, Scorer | Allocator>([[uniformAllocator, uniformAllocator]]);
  const once = <Half extends Scorer | Allocator>(half: Half, make: (half: Half) => Half): Half => {
    if (!made.has(half)) made.set(half, make(half));
    return made.get(half) as Half;
  };
  const scorerOf = (scorer: Scorer) =>
    once(scorer, (scorer) => ({
      ...scorer,
      score(context, options) {
        const score = run(CALL_MILLISECONDS, "score()", () => scorer.score(context, options));
        // What is no score is found out by whoever checks it.
        if (!Array.isArray(score)) return score;
        const { asData, calls } = functionsOf(score);
        if (calls.length === 0) return score;
        return withFunctions(asData, (call, given) =>
          run(STEP_MILLISECONDS, "A function of a step", () => calls[call](...given)));
      },
    }));
  const allocatorOf = (allocator: Allocator) =>
    once(allocator, (allocator) => ({
      ...allocator,
      schedule: watch("schedule", allocator.schedule),
      allot: watch("allot", allocator.allot),
    }));
  return plugins.map((plugin) => {
    if (plugin.kind === "scorer") return scorerOf(plugin);
    if (plugin.kind === "allocator") return allocatorOf(plugin);
    const { scorer, allocator } = plugin.recipe;
    return policyOf({
      ...plugin.recipe,
      scorer: typeof scorer === "string" ? scorer : scorerOf(scorer),
      allocator: typeof allocator === "string" ? allocator : allocatorOf(allocator),
    });
  });
}
