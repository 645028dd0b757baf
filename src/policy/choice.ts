/** @file How requests and flags choose among policies: the field `kv_cache`. */
import { z } from "zod";
import { AUTO_BUDGET, isMassBudget, parseBudget } from "../cache/budgets.ts";
import { UnservableRequestError } from "../contract/errors.ts";
import { DECODE_PROTECTIONS, type DecodeProtection, type KvCacheChoice } from "../contract/generation.ts";
import type { Plugin, Policy } from "./policy.ts";
import { COMBINATION_EXAMPLE, combinationName, type PolicyRegistry } from "./registry.ts";

/** JSON Schema of a plugin's options, with defaults and descriptions. */
export function optionsJsonSchema({ options }: Pick<Plugin, "options">): Record<string, unknown> {
  return z.toJSONSchema(options, { io: "input" });
}

/** What `true` stands for. */
const DEFAULT_DECODE_INTERVAL = 128;
/** What evictions leave alone where nothing is said of it. */
export const DEFAULT_DECODE_PROTECTION: DecodeProtection = "prompt";
const intervalError = "a whole number of tokens from 1 to 65536";
const protections = DECODE_PROTECTIONS.map((protection) => `"${protection}"`).join(", ");
const decodeEvictionError = `must be true, false, ${intervalError}, or an object of such an interval and of protect, ` +
  `which is one of ${protections}`;
const decodeInterval = z.int(decodeEvictionError).min(1, decodeEvictionError).max(65536, decodeEvictionError);
const decodeEvictionSchema = z.union([
  z.boolean(),
  decodeInterval,
  z.strictObject({
    interval: decodeInterval.default(DEFAULT_DECODE_INTERVAL).describe("Tokens between two evictions"),
    protect: z.enum(DECODE_PROTECTIONS).default(DEFAULT_DECODE_PROTECTION).describe(
      "Rows that are left alone: all that was kept of the prompt, in which case the budget is that of the generated rows; the first " +
        "and last rows of the prompt, a tenth of the budget each; or none",
    ),
  }),
], decodeEvictionError)
  .describe(
    "Whether rows are evicted while tokens are generated: the tokens between two evictions, or true for " +
      `${DEFAULT_DECODE_INTERVAL}; or an object that also says which rows are left alone. Default: as the server was told, for its own ` +
      "policy; false for any other",
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
    [
      z.number(),
      z.string(),
      z.strictObject({
        mass: z.number().optional(),
        max: z.union([z.number(), z.string()]).optional(),
      }),
    ],
    'must be a number of rows per layer, a share of the prompt such as "6.9%", "auto", or an object of mass, such as 0.98, and max, the ' +
      "most that it may come to",
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
 * options and evictions count only for their own policy; null leaves out too, as it does in the rest of a request. In the
 * result every option is set.
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
  const budget = budgetOf(given.budget ?? defaults.budget, policy, registry);
  const inherited = policy.name === defaults.policy ? defaults : undefined;
  const options = parsed(policy.options, { ...inherited?.options, ...given.options }, "kv_cache.options");
  const eviction = given.decode_eviction === undefined
    ? inherited && evictionOf(inherited)
    : decodeEvictionOf(given.decode_eviction, policy, registry);
  if (isMassBudget(budget) && eviction?.decodeProtection === "boundaries") {
    throw new UnservableRequestError(
      "A budget by mass cannot be found where decode_eviction protects the boundaries of a prompt, which are kept whatever their " +
        "attention: give rows or a share of the prompt, or protect prompt or none",
      "kv_cache.decode_eviction.protect",
    );
  }
  return {
    policy: policy.name,
    budget,
    options,
    ...eviction,
    ...given.report !== undefined && { report: given.report },
    ...!policy.compresses && given.budget !== undefined && {
      idle: [`The budget ${JSON.stringify(given.budget)} does not count: the policy ${policy.name} keeps every row`],
    },
  };
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field)]));
}

/** @throws {UnservableRequestError} if it is none, or one by mass for a policy that cannot have it */
function budgetOf(
  given: NonNullable<z.infer<typeof choiceSchema>["budget"]>,
  policy: Policy,
  { policies }: PolicyRegistry,
): KvCacheChoice["budget"] {
  const field = "kv_cache.budget";
  const asked = given === "auto" ? {} : given;
  const budget = typeof asked === "object" ? { ...AUTO_BUDGET, ...asked } : asked;
  try {
    parseBudget(budget, 1);
  } catch (error) {
    throw new UnservableRequestError(`Invalid ${field}: ${(error as Error).message}`, field);
  }
  // One that keeps all of the prompt looks at no budget.
  if (!isMassBudget(budget) || policy.scoresAttention || !policy.compresses) return budget;
  throw new UnservableRequestError(
    `The KV cache policy "${policy.name}" does not score by attention alone, so no budget can be found by the mass of it: give rows or ` +
      `a share of the prompt, or one of the policies ` +
      policies.filter(({ scoresAttention }) => scoresAttention).map(({ name }) => name).join(", "),
    field,
  );
}

type Eviction = Pick<KvCacheChoice, "decodeInterval" | "decodeProtection">;

/** How a choice evicts while tokens are generated, if it does. */
function evictionOf({ decodeInterval, decodeProtection = DEFAULT_DECODE_PROTECTION }: KvCacheChoice): Eviction {
  return decodeInterval === undefined ? {} : { decodeInterval, decodeProtection };
}

function decodeEvictionOf(
  given: z.infer<typeof decodeEvictionSchema>,
  policy: Policy,
  { policies }: PolicyRegistry,
): Eviction {
  if (given === false) return {};
  const { interval = DEFAULT_DECODE_INTERVAL, protect = DEFAULT_DECODE_PROTECTION } = typeof given === "object"
    ? given
    : { interval: given === true ? undefined : given };
  const can = ({ ranksAgain, ranksGenerated }: Policy) => protect === "prompt" ? ranksGenerated : ranksAgain;
  if (can(policy)) return { decodeInterval: interval, decodeProtection: protect };
  const [what, field] = protect === "prompt" ? ["evict while tokens are generated", "kv_cache.decode_eviction"] : [
    `evict rows of the prompt while tokens are generated, as protect "${protect}" asks`,
    "kv_cache.decode_eviction.protect",
  ];
  throw new UnservableRequestError(
    `The KV cache policy "${policy.name}" cannot ${what}: expected one of ` +
      policies.filter(can).map(({ name }) => name).join(", "),
    field,
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
  if (issue.code === "unrecognized_keys" && issue.path.length === 0) {
    const field = [path, issue.keys[0]].join(".");
    const known = Object.keys(schema.shape).join(", ") || "none";
    throw new UnservableRequestError(`Unknown field ${field}: known fields are ${known}`, field);
  }
  const field = [path, ...issue.path.map(String)].join(".");
  const culprit = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)[key], value);
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  throw new UnservableRequestError(`Invalid ${field} ${JSON.stringify(culprit)}: ${message}`, field);
}
