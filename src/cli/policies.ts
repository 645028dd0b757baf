/** @file The policies that a command knows, and whether those that its flags name are among them. */
import { UnservableRequestError } from "../contract/errors.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import { parseKvCacheChoice } from "../policy/choice.ts";
import { COMBINATION_EXAMPLE, type PolicyRegistry } from "../policy/registry.ts";
import { loadPolicies } from "../serving/policies.ts";
import { suggestion } from "../text/nearest.ts";
import { ExitError } from "./exit_codes.ts";
import { DEFAULT_BUDGET } from "./flags/shared.ts";

/** Flags that name policies. */
export interface PolicyOptions {
  readonly plugin?: readonly string[];
  readonly sandboxPlugins?: boolean;
  readonly policy?: string;
  readonly policies?: readonly string[];
}

/**
 * Loads the plugins of a command line.
 *
 * @throws {PluginError} when one cannot be used
 * @throws {ExitError} with the reason `usage`, when a flag names a policy that does not exist
 */
export async function policiesOf(
  { plugin, sandboxPlugins, policy, policies = [] }: PolicyOptions,
): Promise<PolicyRegistry> {
  const registry = await loadPolicies(plugin, sandboxPlugins);
  requirePolicies("--policy", policy === undefined ? [] : [policy], "", registry);
  requirePolicies("--policies", policies, "a list, with commas, each entry ", registry);
  return registry;
}

function requirePolicies(flag: string, names: readonly string[], list: string, registry: PolicyRegistry): void {
  const unknown = names.find((name) => registry.find(name) === undefined);
  if (unknown === undefined) return;
  const known = registry.policies.map(({ name }) => name);
  throw new ExitError(
    "usage",
    `${flag} must be ${list}${known.join(", ")} or ${COMBINATION_EXAMPLE}, not ${JSON.stringify(unknown)}` +
      suggestion(unknown, known),
  );
}

/**
 * What the flags say about the KV cache of requests that say nothing.
 *
 * @throws {ExitError} with the reason `usage`, when the policy cannot evict while tokens are generated, but is asked to
 */
export function defaultKvCacheOf(
  { policy, kvBudget: budget, decodeEviction }: {
    readonly policy: string;
    readonly kvBudget: KvCacheChoice["budget"];
    readonly decodeEviction?: number;
  },
  policies: PolicyRegistry,
): KvCacheChoice {
  if (policy === "full" && budget !== DEFAULT_BUDGET) {
    console.error(`--kv-budget ${budget} does not count: the policy full keeps every row`);
  }
  try {
    return parseKvCacheChoice({ decode_eviction: decodeEviction }, { policy, budget }, policies);
  } catch (error) {
    // A policy and a budget have been looked at by themselves: what is left is that the policy cannot do it.
    if (error instanceof UnservableRequestError) {
      const flag = error.field === "kv_cache.budget" ? "--kv-budget" : `--decode-eviction ${decodeEviction}`;
      throw new ExitError("usage", `${flag}: ${error.message}`);
    }
    throw error;
  }
}
