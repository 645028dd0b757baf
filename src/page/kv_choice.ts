/** @file What a form says of the KV cache, and the field `kv_cache` of a request that comes of it. */
import { type OptionsSchema, typedOptions } from "./option_fields.ts";

/** A policy, a scorer or an allocator as `GET /v1/kv/policies` tells it. */
export interface PolicyInfo {
  readonly name: string;
  readonly description: string;
  readonly options: OptionsSchema;
  /** Whether rows can be evicted while tokens are generated; an allocator has no part in that. */
  readonly decode_eviction?: boolean;
}

/** The reply of `GET /v1/kv/policies`. */
export interface PolicyList {
  readonly policies: readonly PolicyInfo[];
  readonly scorers: readonly PolicyInfo[];
  readonly allocators: readonly PolicyInfo[];
  /** JSON Schema of a request's `decode_eviction`. */
  readonly decode_eviction: { readonly anyOf: readonly { readonly properties?: OptionsSchema["properties"] }[] };
  /** Null while no model is loaded. */
  readonly default: { readonly policy: string; readonly budget: number | string | object } | null;
}

/** The form's fields, as typed. */
export interface KvChoice {
  /** A policy's name, or {@link COMBINATION}. */
  readonly policy: string;
  readonly scorer: string;
  readonly allocator: string;
  /** Rows per layer, a share of the prompt, `auto`, or JSON of a budget by mass; empty for the server's own. */
  readonly budget: string;
  readonly options: Readonly<Record<string, string>>;
  /** Tokens between two evictions while tokens are generated; empty for none. */
  readonly decodeEviction: string;
  /** What these leave alone; empty for what the server takes. */
  readonly decodeProtection: string;
}

/** Stands for a scorer and an allocator of one's own choosing. */
export const COMBINATION = "";

/** The choice that the server makes where a request makes none. */
export function initialChoice({ policies, scorers, allocators, default: given }: PolicyList): KvChoice {
  const own = given ?? { policy: policies[0].name, budget: "" };
  const isNamed = policies.some(({ name }) => name === own.policy);
  const [scorer, allocator] = isNamed ? [scorers[0].name, allocators[0].name] : own.policy.split("+");
  return {
    policy: isNamed ? own.policy : COMBINATION,
    scorer,
    allocator,
    budget: typeof own.budget === "object" ? JSON.stringify(own.budget) : String(own.budget),
    options: {},
    decodeEviction: "",
    decodeProtection: "",
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
    decode_eviction: halves[0].decode_eviction,
  };
}

/** The field `kv_cache`: it asks for the positions of what is kept, too. */
export function kvCacheField(list: PolicyList, choice: KvChoice): Record<string, unknown> {
  const { name, options: schema, decode_eviction } = chosen(list, choice);
  const options = typedOptions(schema, choice.options);
  return {
    policy: name,
    // What keeps every row has no budget.
    ...choice.budget.trim() !== "" && name !== "full" && { budget: budgetOf(choice.budget.trim()) },
    ...Object.keys(options).length > 0 && { options },
    decode_eviction: decode_eviction ? evictionOf(choice) : false,
    report: "positions",
  };
}

/** What evictions can leave alone, as the server's schema lists it, with what it says of it. */
export function decodeProtections({ decode_eviction }: PolicyList): { names: readonly string[]; description: string } {
  const schema = decode_eviction.anyOf.find(({ properties }) => properties?.protect !== undefined)?.properties?.protect;
  return { names: schema?.enum?.map(String) ?? [], description: schema?.description ?? "" };
}

/** What is neither a number nor JSON stays a text: the server says what it expected. */
function budgetOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function evictionOf({ decodeEviction, decodeProtection }: KvChoice): unknown {
  if (decodeEviction.trim() === "") return false;
  const interval = Number(decodeEviction);
  return decodeProtection === "" ? interval : { interval, protect: decodeProtection };
}
