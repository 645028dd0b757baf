/** @file `GET /v1/kv/policies`: what the field `kv_cache` of a request may name, the options of each, and what holds without it. */
import type { Context } from "hono";
import type { KvCacheChoice } from "../contract/generation.ts";
import type { ServerContext } from "./context.ts";
import { decodeEvictionJsonSchema, DEFAULT_DECODE_PROTECTION, optionsJsonSchema } from "../policy/choice.ts";
import { type AnyPlugin, combinationName, type PolicyRegistry } from "../policy/registry.ts";

/**
 * Handles `GET /v1/kv/policies`. Each tells the file that it came from; null where it came with Ebb. A ready-made policy tells
 * which scorer and allocator it combines, where it does. A combination can evict generated tokens if its scorer can.
 *
 * `default` is what holds for requests that name none; null while no model is loaded.
 */
export function kvPoliciesHandler(registry: PolicyRegistry, { models }: Pick<ServerContext, "models">) {
  const describe = (plugin: AnyPlugin) => ({
    name: plugin.name,
    description: plugin.description,
    options: optionsJsonSchema(plugin),
    file: registry.originOf(plugin),
  });
  const ranksGenerated = (scorer: string) => registry.find(combinationName(scorer, "uniform"))!.ranksGenerated;
  // Anew for each request: plugins can change.
  return (c: Context): Response =>
    c.json({
      object: "list",
      policies: registry.policies.map((policy) => ({
        ...describe(policy),
        scorer: policy.scorer?.name ?? null,
        allocator: policy.allocator?.name ?? null,
        decode_eviction: policy.ranksGenerated,
      })),
      scorers: registry.scorers.map((scorer) => ({
        ...describe(scorer),
        decode_eviction: ranksGenerated(scorer.name),
      })),
      allocators: registry.allocators.map(describe),
      decode_eviction: decodeEvictionJsonSchema(),
      default: describeChoice(models.list().find(({ loaded }) => loaded !== undefined)?.loaded?.engine.defaultKvCache),
    });
}

/** As a request would have it. */
function describeChoice(choice: KvCacheChoice | undefined) {
  if (choice === undefined) return null;
  const { policy, budget, options = {}, decodeInterval, decodeProtection = DEFAULT_DECODE_PROTECTION } = choice;
  const eviction = decodeInterval === undefined ? false : { interval: decodeInterval, protect: decodeProtection };
  return { policy, budget, options, decode_eviction: eviction };
}
