/**
 * @file What is asked for the record: not every prompt with every policy, budget, sampling and company, but a design in which
 * every two of them meet.
 *
 *     case (prompt i, contender j):  budget (i + j) mod 3,  eviction (i + 2j) mod 2 of what can,  sampling (3i + j) mod 5,
 *                                    company (i + 3j) mod 4: alone | with others of the same prompt (twice) | of any prompt
 *
 * Sequences that share a batch change the last bits of each other's logits. Who shares one must therefore not hang on time:
 * a company is one pack of prompts, and only those keep company that decode the same number of tokens, evict at the same
 * time or never, and start to decode in the same turn.
 */
import { GOLDEN_MODELS, tinyGguf } from "./program.ts";

/** What `kv_cache` of a request says, but for the budget. */
export interface Contender {
  readonly policy: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Whether it can evict while it generates; the others refuse, which is recorded once. */
  readonly evicts: boolean;
}

const contender = (policy: string, evicts: boolean): Contender => ({ policy, evicts });

/** Every policy, both modes of DynamicKV, and six combinations. */
export const CONTENDERS: readonly Contender[] = [
  contender("dynamickv", true),
  { policy: "dynamickv", options: { mode: "published" }, evicts: false },
  contender("readahead", false),
  contender("full", false),
  contender("streaming", false),
  contender("h2o", true),
  contender("tova", true),
  contender("snapkv", true),
  contender("pyramidkv", true),
  contender("adakv", false),
  contender("cake", true),
  contender("lava", false),
  contender("knorm", true),
  contender("keydiff", true),
  contender("h2o+dynamickv", true),
  contender("readahead+dynamickv", false),
  contender("keydiff+adakv", false),
  contender("snapkv+cake", true),
  contender("lava+pyramidkv", true),
  contender("streaming+lava", false),
];

/** Around the observation windows (8, 64), blocks (16 rows), tiles (256 rows) and the splits of attention. */
export const LENGTHS: readonly number[] = [
  1,
  2,
  8,
  9,
  15,
  16,
  17,
  31,
  33,
  63,
  65,
  100,
  127,
  129,
  255,
  256,
  257,
  300,
  511,
  600,
];

export const BUDGETS: readonly (number | string)[] = [12, 40, "30%"];

/** By `Sampling` of a case: changes of greedy sampling. The seed is the case's. */
export const SAMPLINGS = [
  {},
  {},
  { temperature: 0.8, topK: 40, topP: 0.9, minP: 0.02 },
  {},
  { frequencyPenalty: 0.5, presencePenalty: 0.3, repetitionPenalty: 1.2, logitBias: [{ token: 20, bias: 2 }] },
] as const;

/** Tokens between two evictions, and of a generation that evicts: two evictions and a rest. */
export const INTERVAL = 5;
/** Evictions of all rows: those of the short answers alone would be within the budget. */
export const EVICTION = { interval: INTERVAL, protect: "none" } as const;
export const MAX_TOKENS = { evicting: 14, keeping: 9 };

/**
 * Rows of a company's prompts, generated ones and padding included: different prompts must fit into one pack of 2048, equal
 * ones are prefilled once and must fit into the pool.
 */
const COMPANY_ROWS = { different: 1500, equal: 6500 };
const ROOM = 64;
/** Sequences that decode together. */
export const MOST_COMPANIONS = 12;

/** A model of the record. `null` bytes are ebb-mini, which has a tokenizer worth the name. */
export interface RecordedModel {
  readonly name: string;
  readonly kvType: "f16" | "f32";
  /** Of the cache of one token, in all layers. */
  readonly tokenBytes: number;
  readonly bytes: () => Uint8Array<ArrayBuffer> | null;
}

/** Context of all models, and rows that the pool has room for: one sequence can fill it, see company.ts. */
export const CONTEXT = 8192;
export const POOL_ROWS = 8000;

const DEEPER = { layers: 5, keyGains: [1, 0.2, 1.6, 0.5, 1], context: CONTEXT };

/** The golden models are made deeper, and their layers different, so that layers have something to share. */
export const MODELS: readonly RecordedModel[] = [
  { name: "ebb-mini", kvType: "f16", tokenBytes: 4096, bytes: () => null },
  {
    name: "llama",
    kvType: "f32",
    tokenBytes: 5 * 1024,
    bytes: () => tinyGguf({ ...GOLDEN_MODELS["llama head size 64"], ...DEEPER }),
  },
  {
    name: "qwen3",
    kvType: "f16",
    tokenBytes: 5 * 256,
    bytes: () => tinyGguf({ ...GOLDEN_MODELS.qwen3, ...DEEPER }),
  },
];

/** One generation. */
export interface Case {
  readonly name: string;
  /** Index into {@link LENGTHS}. */
  readonly prompt: number;
  readonly contender: Contender;
  readonly budget: number | string;
  readonly evicts: boolean;
  readonly sampling: typeof SAMPLINGS[number];
  readonly seed: number;
}

/** Generations that start in the same turn of the engine, in this order; or one alone. */
export type Company = readonly Case[];

/**
 * All companies of a model. The small design takes two prompts with each contender, each on one of the models; it has other, smaller
 * companies, so that nothing of it can be compared with the full one.
 */
export function companies(model: RecordedModel, isSmall: boolean): Company[] {
  const share = MODELS.indexOf(model);
  const alone: Case[] = [];
  const together = new Map<string, Case[]>();
  for (const [prompt, length] of LENGTHS.entries()) {
    for (const j of CONTENDERS.keys()) {
      const isInSmall = (prompt + 3 * j) % 10 === 0 && length <= 300 && j % MODELS.length === share;
      if (isSmall && !isInSmall) continue;
      const made = caseOf(prompt, j);
      const company = (prompt + 3 * j) % 4;
      const start = startOf(made);
      if (start === undefined || (isSmall ? prompt % 2 === 0 : company === 0)) {
        alone.push(made);
        continue;
      }
      const prompts = company === 3 || isSmall ? "different" : `equal ${prompt}`;
      const key = `${prompts} ${start} ${made.evicts}`;
      together.getOrInsertComputed(key, () => []).push(made);
    }
  }
  return [
    ...alone.map((made) => [made]),
    ...[...together].flatMap(([key, cases]) =>
      inPacks(cases, key.startsWith("equal") ? COMPANY_ROWS.equal : COMPANY_ROWS.different)
    ),
  ];
}

/** In their order, as many at once as fit. */
function inPacks(cases: readonly Case[], most: number): Case[][] {
  const packs: Case[][] = [];
  let rows = Infinity;
  for (const made of cases) {
    const needed = LENGTHS[made.prompt] + ROOM;
    if (rows + needed > most || packs.at(-1)!.length === MOST_COMPANIONS) {
      packs.push([]);
      rows = 0;
    }
    packs.at(-1)!.push(made);
    rows += needed;
  }
  return packs;
}

function caseOf(prompt: number, j: number): Case {
  const contender = CONTENDERS[j];
  const budget = BUDGETS[(prompt + j) % BUDGETS.length];
  const { policy, options } = contender;
  const evicts = contender.evicts && (prompt + 2 * j + Math.floor(j / 2)) % 2 === 0;
  const sampling = (3 * prompt + j) % SAMPLINGS.length;
  const label = options === undefined ? policy : `${policy} ${Object.values(options)}`;
  return {
    name: `${LENGTHS[prompt]} rows, ${label}, ${budget}${evicts ? ", evicting" : ""}, sampling ${sampling}`,
    prompt,
    contender,
    budget,
    evicts,
    sampling: SAMPLINGS[sampling],
    seed: 1000 * prompt + j,
  };
}

/**
 * When a case decodes its first token: at once where its prompt is kept whole, a turn later where it is compressed. Undefined
 * where that, or whether it evicts, takes more than a look at the budget (short prompts, for one, may lie in a policy's window):
 * such a case stays alone.
 */
function startOf({ prompt, budget, evicts, contender: { policy } }: Case): "whole" | "compressed" | undefined {
  const length = LENGTHS[prompt];
  const isWhole = policy === "full" || (typeof budget === "number" && budget >= length);
  if (isWhole) return evicts ? undefined : "whole";
  return length < (typeof budget === "number" ? 15 : 31) ? undefined : "compressed";
}
