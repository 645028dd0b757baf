/**
 * @file The policies that there are, and the scorers and allocators to combine: an object that is handed to whoever needs it, so
 * that a policy which came from a file is the equal of one that came with us.
 */
import { policyOf } from "./define.ts";
import type { PluginBundle } from "./loading/plugin_bundle.ts";
import type { Allocator, Plugin, Policy, Scorer } from "./policy.ts";
import type { Score } from "./steps.ts";
import { uniformAllocator } from "./uniform.ts";

/** For people: how a combination is named. */
export const COMBINATION_EXAMPLE = "SCORER+ALLOCATOR, such as snapkv+pyramidkv";

/** What the policy of a scorer and an allocator is called. */
export function combinationName(scorer: string, allocator: string): string {
  return `${scorer}+${allocator}`;
}

/** Plugins that came from a file. */
export interface PluginFile {
  /** The file, as whoever named it knows it, and what other threads make the same plugins of. */
  readonly bundle: PluginBundle;
  readonly plugins: readonly AnyPlugin[];
  /** Gives back what they hold, where they hold anything. */
  close?(): void;
}

/** What a plugin file can hold. */
export type AnyPlugin = Policy | Scorer | Allocator;

export class PolicyRegistry {
  readonly #builtIn: readonly AnyPlugin[];
  #files: readonly PluginFile[] = [];
  #policies: readonly Policy[] = [];
  #scorers: readonly Scorer[] = [];
  #allocators: readonly Allocator[] = [];
  /**
   * What of a score the engine can compute that the policies are for: set by it, and by its client.
   *
   * @throws {NotRunnableError} if it can never be computed there @throws {Error} if not in its present form
   */
  runnable: (score: Score) => Score = (score) => score;
  readonly #combinations = new Map<string, Policy>();

  /**
   * @param builtIn policies, whose halves can be combined with others, and scorers and allocators that belong to no policy
   * @param files the same from files
   * @throws {TypeError} if two of a kind have the same name, or a half that is named does not exist
   */
  constructor(builtIn: readonly AnyPlugin[], files: readonly PluginFile[] = []) {
    this.#builtIn = builtIn;
    this.setFiles(files);
  }

  /** Every ready-made policy, in the order in which they are listed to people. */
  get policies(): readonly Policy[] {
    return this.#policies;
  }

  /** Every scorer and every allocator; any two combine. */
  get scorers(): readonly Scorer[] {
    return this.#scorers;
  }

  get allocators(): readonly Allocator[] {
    return this.#allocators;
  }

  /** What came from files. */
  get files(): readonly PluginFile[] {
    return this.#files;
  }

  /** The file that a policy, scorer or allocator came from; `null` where it came with Ebb. */
  originOf({ kind, name }: AnyPlugin): string | null {
    const file = this.#files.find(({ plugins }) =>
      halvesAndAll(plugins).some((one) => one.kind === kind && one.name === name)
    );
    return file?.bundle.file ?? null;
  }

  /**
   * Puts other files in the place of those there are. Policies that are at work stay what they are.
   *
   * @throws {TypeError} as the constructor; then nothing has changed
   */
  setFiles(files: readonly PluginFile[]): void {
    const plugins = [...this.#builtIn, ...files.flatMap(({ plugins }) => plugins)];
    const all = halvesAndAll([uniformAllocator, ...plugins]);
    const scorers = all.filter((plugin) => plugin.kind === "scorer");
    const allocators = all.filter((plugin) => plugin.kind === "allocator");
    const policies = plugins.filter((plugin) => plugin.kind === "policy");
    for (const kind of [policies, scorers, allocators]) refuseDoubles(kind);
    this.#policies = policies.map((policy) => closed(policy, scorers, allocators));
    this.#scorers = scorers;
    this.#allocators = allocators;
    this.#files = files;
    this.#combinations.clear();
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
    const policy = policyOf({ name, description, scorer, allocator, defaults: {}, ownScore: false });
    this.#combinations.set(name, policy);
    return policy;
  }
}

/** Plugins and the halves that policies share with others, each once. */
function halvesAndAll(plugins: readonly AnyPlugin[]): AnyPlugin[] {
  const halves = plugins.flatMap((plugin) => {
    if (plugin.kind !== "policy") return [plugin];
    const { scorer, allocator, ownScore } = plugin.recipe;
    const shared = [...ownScore ? [] : [scorer], allocator];
    return [plugin, ...shared.filter((half) => typeof half !== "string")];
  });
  return [...new Set(halves)];
}

/** A policy whose named halves have been found. */
function closed(policy: Policy, scorers: readonly Scorer[], allocators: readonly Allocator[]): Policy {
  const { recipe } = policy;
  if (typeof recipe.scorer !== "string" && typeof recipe.allocator !== "string") return policy;
  const found = <Half extends Plugin>(half: Half | string, kind: string, known: readonly Half[]): Half => {
    if (typeof half !== "string") return half;
    const named = known.find(({ name }) => name === half);
    if (named !== undefined) return named;
    const names = known.map(({ name }) => name).join(", ");
    throw new TypeError(`The policy "${policy.name}" names the ${kind} "${half}": expected one of ${names}`);
  };
  return policyOf({
    ...recipe,
    scorer: found(recipe.scorer, "scorer", scorers),
    allocator: found(recipe.allocator, "allocator", allocators),
  });
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
