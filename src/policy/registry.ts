/**
 * @file The policies, scorers and allocators there are, and how requests and flags choose among them.
 */
import { z } from "zod";
import { parseBudget } from "../cache/budgets.ts";
import { UnservableRequestError } from "../contract/errors.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import { adakv } from "../plugins/adakv.ts";
import { adakvAllocator } from "../plugins/allocators/adakv.ts";
import { cakeAllocator } from "../plugins/allocators/cake.ts";
import { dynamickvAllocator } from "../plugins/allocators/dynamickv.ts";
import { lavaAllocator } from "../plugins/allocators/lava.ts";
import { pyramidkvAllocator } from "../plugins/allocators/pyramidkv.ts";
import { uniformAllocator } from "../plugins/allocators/uniform.ts";
import { cake } from "../plugins/cake.ts";
import { combine } from "./combine.ts";
import { dynamickv } from "../plugins/dynamickv.ts";
import { full } from "../plugins/full.ts";
import { h2o } from "../plugins/h2o.ts";
import { keydiff } from "../plugins/keydiff.ts";
import { knorm } from "../plugins/knorm.ts";
import { lava } from "../plugins/lava.ts";
import type { AllocatorPlugin, Plugin, Policy, ScorerPlugin } from "./policy.ts";
import { pyramidkv } from "../plugins/pyramidkv.ts";
import { readAhead } from "../plugins/readahead.ts";
import { cakeScorer } from "../plugins/scorers/cake.ts";
import { h2oScorer } from "../plugins/scorers/h2o.ts";
import { keydiffScorer } from "../plugins/scorers/keydiff.ts";
import { knormScorer } from "../plugins/scorers/knorm.ts";
import { lavaScorer } from "../plugins/scorers/lava.ts";
import { readAheadScorer } from "../plugins/scorers/read_ahead.ts";
import { snapkvScorer } from "../plugins/scorers/snapkv.ts";
import { streamingScorer } from "../plugins/scorers/streaming.ts";
import { tovaScorer } from "../plugins/scorers/tova.ts";
import { snapkv } from "../plugins/snapkv.ts";
import { streaming } from "../plugins/streaming.ts";
import { tova } from "../plugins/tova.ts";

/** Every ready-made policy, in the order in which they are listed to people. */
export const policies: readonly Policy[] = [
  dynamickv,
  readAhead,
  full,
  streaming,
  h2o,
  tova,
  snapkv,
  pyramidkv,
  adakv,
  cake,
  lava,
  knorm,
  keydiff,
];

/** Every scorer and every allocator; any two combine. */
export const scorers: readonly ScorerPlugin[] = [
  snapkvScorer,
  readAheadScorer,
  h2oScorer,
  tovaScorer,
  streamingScorer,
  knormScorer,
  keydiffScorer,
  cakeScorer,
  lavaScorer,
];
export const allocators: readonly AllocatorPlugin[] = [
  uniformAllocator,
  pyramidkvAllocator,
  dynamickvAllocator,
  adakvAllocator,
  cakeAllocator,
  lavaAllocator,
];

const combinations = new Map<string, Policy>(
  scorers.flatMap((scorer) =>
    allocators.map((allocator) => {
      const name = combinationName(scorer.name, allocator.name);
      return [
        name,
        combine(scorer, allocator, { name, description: `${scorer.description}. ${allocator.description}` }),
      ];
    })
  ),
);

/** What the policy of a scorer and an allocator is called. */
function combinationName(scorer: string, allocator: string): string {
  return `${scorer}+${allocator}`;
}

/** For people: how a combination is named. */
export const COMBINATION_EXAMPLE = "SCORER+ALLOCATOR, such as snapkv+pyramidkv";

/** Finds a policy by name: a ready-made one, or the combination `SCORER+ALLOCATOR`. */
export function findPolicy(name: string): Policy | undefined {
  return policies.find((policy) => policy.name === name) ?? combinations.get(name);
}

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
});

/** What a combination has where a request names only the other half of it. */
const DEFAULT_COMBINATION = { scorer: "snapkv", allocator: "uniform" };

/**
 * Validates the `kv_cache` of a request: `{policy?, budget?, options?}`, or `{scorer?, allocator?, budget?, options?}` with
 * at least one of the two; and `decode_eviction?` with both. What it leaves out comes from the defaults, whose options
 * and `decodeInterval` count only for their own policy; null leaves out too, as it does in the rest of a request. In the
 * result every option is set.
 *
 * @throws {UnservableRequestError} Naming the field, such as `kv_cache.options.window`, and what is known or expected
 */
export function parseKvCacheChoice(value: unknown, defaults: KvCacheChoice): KvCacheChoice {
  const given = parsed(choiceSchema, withoutNulls(value ?? {}), "kv_cache");
  const policy = chosenPolicy(given, defaults);
  const budget = given.budget ?? defaults.budget;
  try {
    parseBudget(budget, 1);
  } catch (error) {
    throw new UnservableRequestError(`Invalid kv_cache.budget: ${(error as Error).message}`, "kv_cache.budget");
  }
  const inherited = policy.name === defaults.policy ? defaults : undefined;
  const options = parsed(policy.options, { ...inherited?.options, ...given.options }, "kv_cache.options");
  const decodeInterval = decodeIntervalOf(given.decode_eviction ?? inherited?.decodeInterval ?? false, policy);
  return { policy: policy.name, budget, options, ...decodeInterval !== undefined && { decodeInterval } };
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field)]));
}

function decodeIntervalOf(given: boolean | number, policy: Policy): number | undefined {
  if (given === false) return undefined;
  if (policy.ranksAgain) return given === true ? DEFAULT_DECODE_INTERVAL : given;
  const names = policies.filter(({ ranksAgain }) => ranksAgain).map(({ name }) => name);
  throw new UnservableRequestError(
    `The KV cache policy "${policy.name}" cannot evict while tokens are generated: expected one of ` +
      names.join(", "),
    "kv_cache.decode_eviction",
  );
}

function chosenPolicy(given: z.infer<typeof choiceSchema>, defaults: KvCacheChoice): Policy {
  const { scorer, allocator } = given;
  if (scorer === undefined && allocator === undefined) {
    const name = given.policy ?? defaults.policy;
    const policy = findPolicy(name);
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
  return combinations.get(combinationName(wanted.scorer, wanted.allocator))!;
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
