/** @file The policies that a command knows, and whether those that its flags name are among them. */
import { COMBINATION_EXAMPLE, type PolicyRegistry } from "../policy/registry.ts";
import { loadPolicies } from "../serving/policies.ts";
import { ExitError } from "./exit_codes.ts";

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
  if (names.every((name) => registry.find(name) !== undefined)) return;
  const known = registry.policies.map(({ name }) => name).join(", ");
  throw new ExitError(
    "usage",
    `${flag} must be ${list}${known} or ${COMBINATION_EXAMPLE}, not ${JSON.stringify(names.join(","))}`,
  );
}
