/** @file `GET /v1/kv/policies`: what the field `kv_cache` of a request may name, and the options of each. */
import type { Context } from "hono";
import { decodeEvictionJsonSchema, optionsJsonSchema } from "../policy/choice.ts";
import type { Plugin } from "../policy/policy.ts";
import { combinationName, type PolicyRegistry } from "../policy/registry.ts";

function describe({ name, description, options }: Plugin) {
  return { name, description, options: optionsJsonSchema({ options }) };
}

/**
 * Handles `GET /v1/kv/policies`. A ready-made policy tells which scorer and allocator it combines, where it does. A combination
 * can evict while tokens are generated if both its halves can.
 */
export function kvPoliciesHandler(registry: PolicyRegistry) {
  const { policies, scorers, allocators } = registry;
  const ranksAgain = (scorer: string) => registry.find(combinationName(scorer, "uniform"))!.ranksAgain;
  const body = {
    object: "list",
    policies: policies.map((policy) => ({
      ...describe(policy),
      scorer: policy.scorer?.name ?? null,
      allocator: policy.allocator?.name ?? null,
      decode_eviction: policy.ranksAgain,
    })),
    scorers: scorers.map((scorer) => ({ ...describe(scorer), decode_eviction: ranksAgain(scorer.name) })),
    allocators: allocators.map((allocator) => ({ ...describe(allocator), decode_eviction: !allocator.perHead })),
    decode_eviction: decodeEvictionJsonSchema(),
  };
  return (c: Context): Response => c.json(body);
}
