/** @file How choices end, and what a reply, the log and the metrics report of them. */
import type { DecodeProtection, KvCacheChoice } from "../../contract/generation.ts";

/** Why a choice ended. */
export type FinishReason = "stop" | "length";

/** How a choice ended, as metrics and logs are told. */
export type Outcome = FinishReason | "abort" | "error";

/** `usage` of the reply. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Tokens of the prompts that came from the prefix cache. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** What the first sequence's KV cache came to; null if it ended before its prompt was read. */
  readonly kv_cache: {
    readonly policy: string;
    /** Rows per layer, on average, that the budget came to for this prompt; all of its rows where none were to be dropped. */
    readonly budget: number;
    readonly prompt_rows: number;
    /** Means of the KV heads where those keep different numbers of rows. */
    readonly rows_per_layer: readonly number[];
    /** Only where the policy allots rows to every KV head. */
    readonly rows_per_head?: readonly (readonly number[])[];
    /** Only where the request asks for them: `[layer][kvHead][row]`, one list where all heads of a layer keep the same rows. */
    readonly positions?: readonly (readonly (readonly number[])[])[];
    /** Mean of `rows_per_layer`, divided by `prompt_rows`. */
    readonly rows_ratio: number;
    /** The share of the attention that was to be kept, and is; only where the budget asks for one. */
    readonly mass?: { readonly wanted: number; readonly kept: number | null; readonly max_rows: number };
    readonly bytes: number;
    readonly full_bytes: number;
    /** `bytes / full_bytes`, in whole blocks: of a prompt of one block above 1 where what is kept of it takes two. */
    readonly ratio: number;
    /** What was asked for and did not count, in sentences; not there if there is nothing to say. */
    readonly notes?: readonly string[];
    /** Why the policy failed and uniform budgets took its place, if it did. */
    readonly fallback?: string;
    /** What became of the cache while tokens were generated, if the request asked for eviction meanwhile. */
    readonly decode_eviction?: {
      readonly interval: number;
      /** What the evictions left alone. */
      readonly protect: DecodeProtection;
      readonly evictions: number;
      /** Rows of the prompt and of generated tokens that were held at the end. */
      readonly rows_per_layer: readonly number[];
    };
  } | null;
}

/** The choices of one request at work, as far as the log reports them. */
export interface RunReport {
  /** Resolved when the last choice has ended, however it did. */
  readonly ended: Promise<void>;
  /** How each choice ended, in the order of their ends. */
  readonly outcomes: readonly Outcome[];
  readonly usage: Usage;
  /** What the request, or else the server, asked for. */
  readonly kvCache: KvCacheChoice;
  /** Null where there was no token, or where those behind the first came too soon for a speed. */
  readonly pace: { readonly firstTokenSeconds: number | null; readonly tokensPerSecond: number | null };
}
