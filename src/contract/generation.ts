/**
 * @file A generation: what is asked of an engine, and what it reports while it answers.
 *
 *     routes --GenerationRequest--> Engine
 *     routes <--GenerationEvent---- Generation
 */
import type { SamplingParameters } from "./sampling.ts";

/** The smallest budget that keeps a share of what the policy's scores, which are attention, add up to. */
export interface MassBudget {
  /** The share: above 0, up to 1. */
  readonly mass: number;
  /** The most that it may come to: mean rows per layer, or a share of the prompt. */
  readonly max: number | string;
}

/** Which KV cache policy a sequence uses, already validated (see policy/registry.ts). */
export interface KvCacheChoice {
  readonly policy: string;
  /** Mean rows per layer, a share of the prompt such as `"6.9%"`, or what keeps a share of the attention. Ignored by `full`. */
  readonly budget: number | string | MassBudget;
  /** The policy's own options. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** What was asked for and does not count, in sentences. */
  readonly idle?: readonly string[];
  /** Tokens generated between two evictions; if not given, every row generated is kept. */
  readonly decodeInterval?: number;
  /** What is told of the prompt's rows, beside their number: the positions of those that are kept. */
  readonly report?: "positions";
  /** What those evictions leave alone; `prompt` if not given. */
  readonly decodeProtection?: DecodeProtection;
}

/**
 * Which rows an eviction while tokens are generated leaves alone:
 * - `prompt`: all that was kept of the prompt; the budget is that of the generated rows;
 * - `boundaries`: the first and the last rows of the prompt, a tenth of the budget each;
 * - `none`: none, all rows compete.
 */
export type DecodeProtection = typeof DECODE_PROTECTIONS[number];
export const DECODE_PROTECTIONS = ["prompt", "boundaries", "none"] as const;

/** What a model may think before it answers. Its thoughts follow no grammar. */
export interface Reasoning {
  /** The token that begins them, if it comes first; null if they have begun already, in the prompt. */
  readonly begin: number | null;
  /** The token that ends them. */
  readonly end: number;
  /** Tokens that they may have. Default: as many as there is room for. */
  readonly budget?: number;
  /** What is put behind them once there are as many as they may have; `end` is among it. */
  readonly closing: readonly number[];
}

/** Part of a prompt: rows `start` to `end`, the row at `end` not included. */
export interface PromptRange {
  readonly start: number;
  readonly end: number;
}

/** What a message of a chat says, among the rows of the prompt; or the whole prompt, whose role is `prompt`. */
export interface MessageRange extends PromptRange {
  /** As the request has it: `system`, `user`, `assistant`, ... */
  readonly role: string;
}

/** How the hidden states of a prompt's tokens become one vector: their mean, or the first's or the last's. */
export type PromptPooling = "mean" | "first" | "last";

/** One sequence to generate. */
export interface GenerationRequest {
  /** Token ids of the prompt; at least one. */
  readonly prompt: Uint32Array;
  readonly maxTokens: number;
  /** Tokens that end the generation; they are reported with the final event and count as completion tokens. */
  readonly stopTokens: readonly number[];
  /**
   * Tokens before none of which a stop token comes, unless a grammar leaves nothing else; at most `maxTokens`. Default: 0, the
   * first token may be a stop token.
   */
  readonly minTokens?: number;
  /** Who waits for admission is let in by this, lowest first, and in the order of arrival where it is equal. Default: 0. */
  readonly priority?: number;
  /**
   * What the prefix cache knows of the prompt is found, and kept, with this salt alone; not empty. Default: with none, where all find
   * it who give none either.
   */
  readonly cacheSalt?: string;
  readonly sampling: SamplingParameters;
  /** How many alternatives to report with log-probabilities for each token: undefined none at all, 0 only the chosen. */
  readonly topLogprobs?: number;
  readonly kvCache: KvCacheChoice;
  /** What the answer has to match, in XGrammar's EBNF, with the rule `root`. Default: nothing. */
  readonly grammar?: string;
  /** The token behind which the grammar holds; up to there, and if it never comes, nothing does. Default: it holds at once. */
  readonly grammarAfter?: number;
  /** What the answer has to match unless it begins with that token, written as the grammar is. Default: nothing. */
  readonly grammarElse?: string;
  /** Default: no thoughts, the answer comes first. */
  readonly reasoning?: Reasoning;
  /** Where the messages of a chat are in the prompt, for policies. Default: it is one text. */
  readonly messages?: readonly MessageRange[];
  /** Tokens that are fed behind the prompt, once its cache is compressed, before the first one is drawn. Default: none. */
  readonly continuation?: Continuation;
  /**
   * Lets the generation pause where it would finish, and keep its cache, until it is resumed or aborted. The most tokens,
   * given and drawn, that may ever follow the prompt.
   */
  readonly resumableTokens?: number;
  /** Ends the generation with the prompt: its hidden states are reported, and no token is drawn. */
  readonly embed?: PromptPooling;
  /** Whether `reading` is reported. Default: where `kvCache.report` asks for positions. */
  readonly reportsReading?: boolean;
}

/** Tokens that a sequence is given as if it had drawn them. They are not reported and stop nothing. */
export interface Continuation {
  readonly tokens: Uint32Array;
  /**
   * The first of the tokens, counted from 0, from which on logits are reported: those from which each would have been
   * drawn. The first token behind a prompt has none, since it does not depend on what the cache keeps. Default: no logits.
   */
  readonly logitsFrom?: number;
}

/** How a paused generation goes on. */
export interface Resumption {
  /** Forget everything behind the prompt; else what is given follows what was there. */
  readonly rewind: boolean;
  /** What comes next; at least one token. */
  readonly continuation: Continuation;
  /** Tokens to draw behind it; 0 pauses as soon as the logits are known. */
  readonly maxTokens: number;
}

/** One generated token. */
export interface GeneratedToken {
  readonly id: number;
  /** Natural logarithm of the token's probability under the model, before temperature and filters. */
  readonly logprob?: number;
  /** The most likely tokens, most likely first. */
  readonly topLogprobs?: readonly { readonly id: number; readonly logprob: number }[];
}

/** What a sequence's KV cache came to, reported under `usage.kv_cache`. */
export interface KvCacheUsage {
  readonly policy: string;
  /** Rows per layer, on average, that the budget came to; all of the prompt's where none were to be dropped. */
  readonly budget: number;
  /** Rows of the prompt, that is what the full cache would hold per layer. */
  readonly promptRows: number;
  /** Prompt rows kept in each layer; the mean of its KV heads, which can be a fraction. */
  readonly rowsPerLayer: readonly number[];
  /** Prompt rows kept in each KV head of each layer, where the policy allots them so. */
  readonly rowsPerHead?: readonly (readonly number[])[];
  /**
   * Positions of the kept prompt rows, rising, `[layer][kvHead][row]`; a single list where all heads of a layer keep the same
   * ones. Only where the request asks for them.
   */
  readonly positions?: readonly (readonly Uint32Array[])[];
  /** The share of the attention that the rows keep; only where the budget asks for one. */
  readonly mass?: KeptMass;
  /** Bytes of the kept prompt rows, in whole blocks. */
  readonly bytes: number;
  /** Bytes that the full cache of the prompt would take, in whole blocks. */
  readonly fullBytes: number;
  /** Why the policy failed and uniform budgets took its place; not there if it did not. */
  readonly fallback?: string;
}

/** What a budget by mass was to keep of the attention, and what it keeps. */
export interface KeptMass {
  readonly wanted: number;
  /** By the scores' histograms; null if the policy failed. */
  readonly kept: number | null;
  /** The most rows per layer that the budget could have come to. */
  readonly maxRows: number;
}

/** What a running generation reports, in order; exactly one `finished` or `failed` comes last. */
export type GenerationEvent =
  /**
   * The prompt is being read: the rows that each layer keeps of it for now, of the layers that have been read so far, the share of
   * the work that is done, in [0, 1], and perhaps the rows' positions, as in {@link KvCacheUsage}. Only where the request asks for it.
   */
  | {
    readonly type: "reading";
    readonly rowsPerLayer: readonly number[];
    readonly share: number;
    readonly positions?: KvCacheUsage["positions"];
  }
  /**
   * The prompt has been read: `cachedTokens` at its beginning came from the prefix cache. `waitedSeconds` went by before the engine took
   * it up, where it tells.
   */
  | {
    readonly type: "prefilled";
    readonly kvCache: KvCacheUsage;
    readonly cachedTokens: number;
    readonly waitedSeconds?: number;
  }
  | { readonly type: "tokens"; readonly tokens: readonly GeneratedToken[] }
  /** What was asked by `embed`: hidden states behind the last layer, after the final norm, pooled; `[hiddenSize]`. */
  | { readonly type: "embedding"; readonly values: Float32Array }
  /** The next of the logits that were asked for, `[vocabulary]` each, one for each given token. */
  | { readonly type: "logits"; readonly logits: readonly Float32Array[] }
  /** Where a resumable generation has come to its end, of which there may be more. */
  | { readonly type: "paused"; readonly reason: "stop" | "length"; readonly completionTokens: number }
  /** Rows were evicted, after all tokens reported so far; what each layer holds, without the row of the last token; and, if the policy has failed, why. */
  | { readonly type: "evicted"; readonly rowsPerLayer: readonly number[]; readonly fallback?: string }
  | {
    readonly type: "finished";
    readonly reason: "stop" | "length" | "aborted";
    /** How many tokens were generated, the stop token included. */
    readonly completionTokens: number;
  }
  | { readonly type: "failed"; readonly message: string };

/** A generation in flight. */
export interface Generation {
  /** Iterate once. Leaving the loop early aborts the generation. */
  readonly events: AsyncIterable<GenerationEvent>;
  /** Stops the generation; its blocks return to the pool before the next step. Idempotent. */
  abort(): void;
  /**
   * Lets a paused generation go on. Each may pause again.
   *
   * @throws {RangeError} if there is nothing to go on with
   */
  resume(resumption: Resumption): void;
}
