/** @file A model that reads texts whole: it gives vectors of texts, or says how well a text answers a question. */

/** What an encoder takes: a text, or the token ids of one, special tokens among them. */
export type EncoderInput = string | readonly number[];

/** The loaded model. */
export interface EncoderModel {
  readonly id: string;
  /** `embedder` makes vectors, `reranker` (a cross-encoder) scores pairs of texts. */
  readonly kind: "embedder" | "reranker";
  /** Numbers of a vector; 1 of a reranker. */
  readonly dimensions: number;
  /** Most tokens of a text, or of a pair, special tokens among them. */
  readonly maximumTokens: number;
  /** Token ids are below it. */
  readonly vocabularySize: number;
  /** What computes, in words. */
  readonly device: string;
}

/** What a text, or a pair, came to. */
export interface Encoded {
  /** The vector; of a reranker, the score alone. */
  readonly values: Float32Array;
  /** How many tokens were read. */
  readonly tokens: number;
}

/** How texts are read. */
export interface EncodeTextsOptions {
  /** Leaves what is beyond so many tokens unread; without it, longer texts are refused. At most the model's limit. */
  readonly truncate?: number;
  /** Aborted when nobody waits for the answer any more. Texts with the same signal wait for each other. */
  readonly signal?: AbortSignal;
  /** The field that holds the texts, for error messages. */
  readonly field: string;
}

/** What makes vectors of texts. */
export interface Embedder {
  readonly model: EncoderModel;
  /**
   * The vectors of texts, in their order. What a text comes to does not depend on the others.
   *
   * @throws {UnservableRequestError} when a text has more tokens than the model reads
   * @throws {QueueFullError} when too many texts wait already
   */
  embed(texts: readonly EncoderInput[], options: EncodeTextsOptions): Promise<Encoded[]>;
}

/** A model made for it. */
export interface Encoder extends Embedder {
  /** How well each document answers the query, by a reranker; throws as {@link embed}. */
  score(query: string, documents: readonly string[], options: EncodeTextsOptions): Promise<Encoded[]>;
}
