/** @file How requests and flags choose among policies: the field `kv_cache`. */
import { z } from "zod";
import { parseBudget } from "../cache/budgets.ts";
import { UnservableRequestError } from "../contract/errors.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import type { Plugin, Policy } from "./policy.ts";
import { COMBINATION_EXAMPLE, combinationName, type PolicyRegistry } from "./registry.ts";

/** JSON Schema of a plugin's options, with defaults and descriptions. */
export function optionsJsonSchema({ options }: Pick<Plugin, "options">): Record<string, unknown> {
  return z.toJSONSchema(options, { io: "input" });
}

/** What `true` stands for. */
const DEFAULT_DECODE_INTERVAL = 128;
const decodeEvictionError = "must be true, false, or a whole number of tokens from 1 to 65536";
const decodeInterval = z.int(decodeEvictionError).min(1, decodeEvictionError).max(65536, decodeEvictionError);
const decodeEvictionSchema = z.union([z.boolean(), decodeInterval], decodeEvictionError)
  .describe(
    "Whether rows are evicted while tokens are generated: the tokens between two evictions, or true for " +
      `${DEFAULT_DECODE_INTERVAL}. Default: as the server was told, for its own policy; false for any other`,
  );

/** JSON Schema of the field `decode_eviction` of a request's `kv_cache`. */
export function decodeEvictionJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(decodeEvictionSchema, { io: "input" });
}

const choiceSchema = z.strictObject({
  policy: z.string().optional(),
  scorer: z.string().optional(),
  allocator: z.string().optional(),
  budget: z.union(
    [z.number(), z.string()],
    'must be a number of rows per layer or a share of the prompt such as "6.9%"',
  )
    .optional(),
  options: z.record(z.string(), z.unknown()).optional(),
  decode_eviction: decodeEvictionSchema.optional(),
  report: z.literal("positions", 'must be "positions", or left out').optional(),
});

/** What a combination has where a request names only the other half of it. */
const DEFAULT_COMBINATION = { scorer: "snapkv", allocator: "uniform" };

/**
 * Validates the `kv_cache` of a request: `{policy?, budget?, options?}`, or `{scorer?, allocator?, budget?, options?}` with
 * at least one of the two; and `decode_eviction?` and `report?` with both. What it leaves out comes from the defaults, whose
 * options and `decodeInterval` count only for their own policy; null leaves out too, as it does in the rest of a request. In
 * the result every option is set.
 *
 * @throws {UnservableRequestError} Naming the field, such as `kv_cache.options.window`, and what is known or expected
 */
export function parseKvCacheChoice(
  value: unknown,
  defaults: KvCacheChoice,
  registry: PolicyRegistry,
): KvCacheChoice {
  const given = parsed(choiceSchema, withoutNulls(value ?? {}), "kv_cache");
  const policy = chosenPolicy(given, defaults, registry);
  const budget = given.budget ?? defaults.budget;
  try {
    parseBudget(budget, 1);
  } catch (error) {
    throw new UnservableRequestError(`Invalid kv_cache.budget: ${(error as Error).message}`, "kv_cache.budget");
  }
  const inherited = policy.name === defaults.policy ? defaults : undefined;
  const options = parsed(policy.options, { ...inherited?.options, ...given.options }, "kv_cache.options");
  const decodeInterval = decodeIntervalOf(
    given.decode_eviction ?? inherited?.decodeInterval ?? false,
    policy,
    registry,
  );
  return {
    policy: policy.name,
    budget,
    options,
    ...decodeInterval !== undefined && { decodeInterval },
    ...given.report !== undefined && { report: given.report },
  };
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field)]));
}

function decodeIntervalOf(
  given: boolean | number,
  policy: Policy,
  { policies }: PolicyRegistry,
): number | undefined {
  if (given === false) return undefined;
  if (policy.ranksAgain) return given === true ? DEFAULT_DECODE_INTERVAL : given;
  const names = policies.filter(({ ranksAgain }) => ranksAgain).map(({ name }) => name);
  throw new UnservableRequestError(
    `The KV cache policy "${policy.name}" cannot evict while tokens are generated: expected one of ` +
      names.join(", "),
    "kv_cache.decode_eviction",
  );
}

function chosenPolicy(
  given: z.infer<typeof choiceSchema>,
  defaults: KvCacheChoice,
  registry: PolicyRegistry,
): Policy {
  const { policies, scorers, allocators } = registry;
  const { scorer, allocator } = given;
  if (scorer === undefined && allocator === undefined) {
    const name = given.policy ?? defaults.policy;
    const policy = registry.find(name);
    if (!policy) throw unknownName("KV cache policy", name, "policy", policies, `, or ${COMBINATION_EXAMPLE}`);
    return policy;
  }
  if (given.policy !== undefined) {
    const half = scorer === undefined ? "allocator" : "scorer";
    throw new UnservableRequestError(
      `kv_cache.policy "${given.policy}" cannot be combined with kv_cache.${half} "${
        given[half]
      }": give either a policy, ` +
        `or a scorer and an allocator`,
      `kv_cache.${half}`,
    );
  }
  const wanted = {
    scorer: scorer ?? DEFAULT_COMBINATION.scorer,
    allocator: allocator ?? DEFAULT_COMBINATION.allocator,
  };
  if (!scorers.some(({ name }) => name === wanted.scorer)) {
    throw unknownName("KV cache scorer", wanted.scorer, "scorer", scorers);
  }
  if (!allocators.some(({ name }) => name === wanted.allocator)) {
    throw unknownName("KV cache allocator", wanted.allocator, "allocator", allocators);
  }
  return registry.find(combinationName(wanted.scorer, wanted.allocator))!;
}

function unknownName(
  kind: string,
  name: string,
  field: string,
  known: readonly Plugin[],
  others = "",
): UnservableRequestError {
  const names = known.map((plugin) => plugin.name).join(", ");
  return new UnservableRequestError(
    `Unknown ${kind} "${name}": kv_cache.${field} must be one of ${names}${others}`,
    `kv_cache.${field}`,
  );
}

/** The value under a schema, or the first thing wrong with it as an error that names the field. */
function parsed<Schema extends z.ZodObject>(schema: Schema, value: unknown, path: string): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue.code === "unrecognized_keys") {
    const field = [path, issue.keys[0]].join(".");
    const known = Object.keys(schema.shape).join(", ") || "none";
    throw new UnservableRequestError(`Unknown field ${field}: known fields are ${known}`, field);
  }
  const field = [path, ...issue.path.map(String)].join(".");
  const culprit = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)[key], value);
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  throw new UnservableRequestError(`Invalid ${field} ${JSON.stringify(culprit)}: ${message}`, field);
}
