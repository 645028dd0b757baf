/**
 * @file The policies there are, and how requests and flags choose one.
 */
import { z } from "zod";
import { parseBudget } from "../cache/budgets.ts";
import { type KvCacheChoice, UnservableRequestError } from "../engine/messages.ts";
import { dynamickv } from "./dynamickv.ts";
import { full } from "./full.ts";
import type { Policy } from "./policy.ts";

/** Every policy, in the order in which they are listed to people. */
export const policies: readonly Policy[] = [dynamickv, full];

/** Finds a policy by name. */
export function findPolicy(name: string): Policy | undefined {
  return policies.find((policy) => policy.name === name);
}

/** JSON Schema of a policy's options, with defaults and descriptions. */
export function optionsJsonSchema(policy: Policy): Record<string, unknown> {
  return z.toJSONSchema(policy.options, { io: "input" });
}

const choiceSchema = z.strictObject({
  policy: z.string().optional(),
  budget: z.union(
    [z.number(), z.string()],
    'must be a number of rows per layer or a share of the prompt such as "6.9%"',
  )
    .optional(),
  options: z.record(z.string(), z.unknown()).optional(),
});

/**
 * Validates the `kv_cache` of a request: `{policy?, budget?, options?}`. What it leaves out comes from the defaults; the
 * defaults' options count only for the defaults' policy. In the result every option is set.
 *
 * @throws {UnservableRequestError} Naming the field, such as `kv_cache.options.window`, and what is known or expected
 */
export function parseKvCacheChoice(value: unknown, defaults: KvCacheChoice): KvCacheChoice {
  const given = parsed(choiceSchema, value ?? {}, "kv_cache");
  const name = given.policy ?? defaults.policy;
  const policy = findPolicy(name);
  if (!policy) {
    const known = policies.map((policy) => policy.name).join(", ");
    throw new UnservableRequestError(
      `Unknown KV cache policy "${name}": kv_cache.policy must be one of ${known}`,
      "kv_cache.policy",
    );
  }
  const budget = given.budget ?? defaults.budget;
  try {
    parseBudget(budget, 1);
  } catch (error) {
    throw new UnservableRequestError(`Invalid kv_cache.budget: ${(error as Error).message}`, "kv_cache.budget");
  }
  const inherited = name === defaults.policy ? defaults.options : undefined;
  const options = parsed(policy.options, { ...inherited, ...given.options }, "kv_cache.options");
  return { policy: name, budget, options };
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
