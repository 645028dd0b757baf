/**
 * @file The policies that there are, and the scorers and allocators to combine: an object that is handed to whoever needs it, so
 * that a policy which came from a file is the equal of one that came with us.
 */
import { definePolicy } from "./define.ts";
import type { Allocator, Plugin, Policy, Scorer } from "./policy.ts";
import { uniformAllocator } from "./uniform.ts";

/** For people: how a combination is named. */
export const COMBINATION_EXAMPLE = "SCORER+ALLOCATOR, such as snapkv+pyramidkv";

/** What the policy of a scorer and an allocator is called. */
export function combinationName(scorer: string, allocator: string): string {
  return `${scorer}+${allocator}`;
}

export class PolicyRegistry {
  /** Every ready-made policy, in the order in which they are listed to people. */
  readonly policies: readonly Policy[];
  /** Every scorer and every allocator; any two combine. */
  readonly scorers: readonly Scorer[];
  readonly allocators: readonly Allocator[];
  readonly #combinations = new Map<string, Policy>();

  /**
   * @param plugins policies, whose halves can be combined with others, and scorers and allocators that belong to no policy
   * @throws {TypeError} if two of a kind have the same name
   */
  constructor(plugins: readonly (Policy | Scorer | Allocator)[]) {
    this.policies = plugins.filter((plugin) => plugin.kind === "policy");
    const halves = <Kind extends "scorer" | "allocator">(kind: Kind) =>
      plugins.flatMap((plugin) => {
        const half = plugin.kind === "policy" ? plugin[kind] : plugin.kind === kind ? plugin : undefined;
        return half === undefined ? [] : [half as NonNullable<Policy[Kind]>];
      });
    // Policies share halves.
    this.scorers = [...new Set(halves("scorer"))];
    this.allocators = [...new Set([uniformAllocator, ...halves("allocator")])];
    for (const kind of [this.policies, this.scorers, this.allocators]) refuseDoubles(kind);
  }

  /** Finds a policy by name: a ready-made one, or the combination `SCORER+ALLOCATOR`. */
  find(name: string): Policy | undefined {
    return this.policies.find((policy) => policy.name === name) ?? this.#combination(name);
  }

  #combination(name: string): Policy | undefined {
    const made = this.#combinations.get(name);
    if (made !== undefined) return made;
    const [first, second, ...others] = name.split("+");
    const scorer = this.scorers.find((scorer) => scorer.name === first);
    const allocator = this.allocators.find((allocator) => allocator.name === second);
    if (scorer === undefined || allocator === undefined || others.length > 0) return undefined;
    const description = `${scorer.description}. ${allocator.description}`;
    const policy = definePolicy({ name, description, scorer, allocator });
    this.#combinations.set(name, policy);
    return policy;
  }
}

function refuseDoubles(plugins: readonly (Plugin & { readonly kind: string })[]): void {
  const names = new Set<string>();
  for (const { kind, name } of plugins) {
    if (names.has(name)) {
      throw new TypeError(`There is already a ${kind} named "${name}": each needs a name of its own`);
    }
    names.add(name);
  }
}
