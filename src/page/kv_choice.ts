/** @file What a form says of the KV cache, and the field `kv_cache` of a request that comes of it. */
import { type OptionsSchema, typedOptions } from "./option_fields.ts";

/** A policy, a scorer or an allocator as `GET /v1/kv/policies` tells it. */
export interface PolicyInfo {
  readonly name: string;
  readonly description: string;
  readonly options: OptionsSchema;
  /** Whether rows can be evicted while tokens are generated. */
  readonly decode_eviction: boolean;
}

/** The reply of `GET /v1/kv/policies`. */
export interface PolicyList {
  readonly policies: readonly PolicyInfo[];
  readonly scorers: readonly PolicyInfo[];
  readonly allocators: readonly PolicyInfo[];
  readonly default: { readonly policy: string; readonly budget: number | string };
}

/** The form's fields, as typed. */
export interface KvChoice {
  /** A policy's name, or {@link COMBINATION}. */
  readonly policy: string;
  readonly scorer: string;
  readonly allocator: string;
  /** Rows per layer, or a share of the prompt; empty for the server's own. */
  readonly budget: string;
  readonly options: Readonly<Record<string, string>>;
  /** Tokens between two evictions while tokens are generated; empty for none. */
  readonly decodeEviction: string;
}

/** Stands for a scorer and an allocator of one's own choosing. */
export const COMBINATION = "";

/** The choice that the server makes where a request makes none. */
export function initialChoice({ policies, scorers, allocators, default: own }: PolicyList): KvChoice {
  const isNamed = policies.some(({ name }) => name === own.policy);
  const [scorer, allocator] = isNamed ? [scorers[0].name, allocators[0].name] : own.policy.split("+");
  return {
    policy: isNamed ? own.policy : COMBINATION,
    scorer,
    allocator,
    budget: String(own.budget),
    options: {},
    decodeEviction: "",
  };
}

/** Name, schema of the options and abilities of what is chosen; a combination has the options of both halves. */
export function chosen(list: PolicyList, { policy, scorer, allocator }: KvChoice): PolicyInfo {
  const find = (of: readonly PolicyInfo[], name: string) => of.find((entry) => entry.name === name) ?? of[0];
  if (policy !== COMBINATION) return find(list.policies, policy);
  const halves = [find(list.scorers, scorer), find(list.allocators, allocator)];
  return {
    name: halves.map(({ name }) => name).join("+"),
    description: halves.map(({ description }) => description).join(" "),
    options: { properties: Object.assign({}, ...halves.map(({ options }) => options.properties)) },
    decode_eviction: halves.every(({ decode_eviction }) => decode_eviction),
  };
}

/** The field `kv_cache`: it asks for the positions of what is kept, too. */
export function kvCacheField(list: PolicyList, choice: KvChoice): Record<string, unknown> {
  const { name, options: schema, decode_eviction } = chosen(list, choice);
  const budget = choice.budget.trim();
  const options = typedOptions(schema, choice.options);
  return {
    policy: name,
    ...budget !== "" && { budget: /^\d+(\.\d+)?$/.test(budget) ? Number(budget) : budget },
    ...Object.keys(options).length > 0 && { options },
    decode_eviction: decode_eviction && choice.decodeEviction.trim() !== "" ? Number(choice.decodeEviction) : false,
    report: "positions",
  };
}
