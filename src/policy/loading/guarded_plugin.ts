/**
 * @file A plugin from a file, each of whose functions says where in the file it threw, and counts as having failed if it took
 * too long. A call that does not end at all can only be stopped from outside: see the sandbox.
 */
import { policyOf } from "../define.ts";
import type { Allocator, Scorer } from "../policy.ts";
import type { AnyPlugin } from "../registry.ts";
import { uniformAllocator } from "../uniform.ts";
import { placed, type SourcePositions } from "./source_positions.ts";

/** The engine computes nothing for anybody while a plugin does: it is asked no more once a call took longer. */
export const CALL_MILLISECONDS = 1000;

/** The plugins of a file, guarded. Halves that they share are shared still, and Ebb's own are left as they are. */
export function guardedPlugins(plugins: readonly AnyPlugin[], positions: SourcePositions): AnyPlugin[] {
  const watch =
    <Given extends unknown[], Result>(what: string, call: (...given: Given) => Result) => (...given: Given) =>
      watched(what, positions, () => call(...given));
  const made = new Map<Scorer | Allocator, Scorer | Allocator>([[uniformAllocator, uniformAllocator]]);
  const once = <Half extends Scorer | Allocator>(half: Half, make: (half: Half) => Half): Half => {
    if (!made.has(half)) made.set(half, make(half));
    return made.get(half) as Half;
  };
  const scorerOf = (scorer: Scorer) => once(scorer, (scorer) => ({ ...scorer, score: watch("score", scorer.score) }));
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

function watched<Result>(what: string, positions: SourcePositions, call: () => Result): Result {
  const begun = performance.now();
  let result: Result;
  try {
    result = call();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(placed(message, positions.ofError(error)), { cause: error });
  }
  const took = performance.now() - begun;
  if (took > CALL_MILLISECONDS) {
    throw new Error(`${what}() took ${Math.round(took)} ms: expected at most ${CALL_MILLISECONDS}`);
  }
  return result;
}
