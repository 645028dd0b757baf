/** @file The policies that come with Ebb, as tests ask for them. */
import type { KvCacheChoice } from "../../src/contract/generation.ts";
import { BUILT_IN_POLICIES } from "../../src/plugins/built_in.ts";
import { parseKvCacheChoice as parseChoice } from "../../src/policy/choice.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { PolicyRegistry } from "../../src/policy/registry.ts";

/** A registry of what comes with Ebb. */
export const registry = new PolicyRegistry(BUILT_IN_POLICIES);

export const { policies, scorers, allocators } = registry;

/** The names of all policies and combinations. */
export const POLICY_NAMES: readonly string[] = [
  ...policies.map(({ name }) => name),
  ...scorers.flatMap((scorer) => allocators.map((allocator) => `${scorer.name}+${allocator.name}`)),
];

export function findPolicy(name: string): Policy | undefined {
  return registry.find(name);
}

export function parseKvCacheChoice(value: unknown, defaults: KvCacheChoice): KvCacheChoice {
  return parseChoice(value, defaults, registry);
}
