/**
 * @file The choices of one request at work, the same for completions and chat completions.
 *
 *     plan --admit--> one generation per choice --tokens--> ChoiceText --deltas--> stream or reply
 */
import type { Generation, KvCacheChoice, KvCacheUsage } from "../../contract/generation.ts";
import { ChoiceClock } from "./choice_observer.ts";
import { Channel } from "./channel.ts";
import { ChoiceText, type PlacedToken } from "./choice_text.ts";
import type { RouteContext } from "../context.ts";
import { atDeadline } from "../deadline.ts";
import { ClientGoneError, HttpError } from "../errors.ts";
import { kvCacheNotes } from "./kv_cache_notes.ts";
import { RunPace } from "./run_pace.ts";
import { LiveSequence } from "./live_sequences.ts";
import type { FinishReason, Outcome, RunReport, Usage } from "./outcome.ts";
import type { GenerationPlan } from "./plan.ts";
import type { RequestTrace } from "../tracing.ts";

/** A piece of one choice. */
export interface ChoiceDelta {
  /** Prompts in order, and each prompt's choices in order. */
  readonly index: number;
  readonly text: string;
  /** Tokens whose text has begun to be shown. */
  readonly tokens: readonly PlacedToken[];
  /** Tokens of the choice so far, those that are not shown among them. */
  readonly completionTokens: number;
  /** Set in the choice's last delta. */
  readonly finishReason: FinishReason | null;
  /** The stop string that ended it, in that last delta, if one did. */
  readonly stopString: string | null;
}

/** `[layer][kvHead][row]`, one list where all heads of a layer keep the same rows. */
type Positions = readonly (readonly (readonly number[])[])[];

/** What is told of the first sequence's cache before its first token, where the request asks for positions. */
export interface CachePiece {
  readonly kvCache:
    /** Of the layers that have been read so far. */
    | {
      readonly state: "prompt";
      readonly rows_per_layer: readonly number[];
      readonly positions?: Positions;
    }
    /** As it is when the prompt has been read. */
    | { readonly state: "generating" } & NonNullable<Usage["kv_cache"]>;
}

/** A whole choice. */
export interface Choice {
  readonly text: string;
  readonly tokens: readonly PlacedToken[];
  readonly finishReason: FinishReason;
}

/** Where a request came from. */
export interface RequestOrigin {
  readonly requestId: string;
  /** `performance.now()` when the request arrived. */
  readonly arrival: number;
  /** `performance.now()` by which it must have been answered; may be infinite. */
  readonly deadline: number;
  readonly trace?: RequestTrace;
  /** Aborted when the client goes. */
  readonly client: AbortSignal;
}

/** The choices of one request at work. */
export class GenerationRun implements RunReport {
  readonly ended: Promise<void>;
  readonly #end: () => void;
  readonly #context: RouteContext;
  readonly #plan: GenerationPlan;
  readonly #requestId: string;
  readonly #generations: Generation[] = [];
  readonly #deltas = new Channel<ChoiceDelta | CachePiece>();
  readonly #outcomes: Outcome[] = [];
  #completionTokens = 0;
  #cachedTokens = 0;
  readonly #sequences: readonly LiveSequence[];
  /** Of the first sequence: usage is asked for several times. */
  #positions: Positions | undefined;
  readonly pace: RunPace;
  #aborted = false;

  /**
   * Queues every choice, or none.
   *
   * @throws {QueueFullError} @throws {UnservableRequestError} @throws {HttpError} if the client has gone already
   */
  constructor(
    context: RouteContext,
    plan: GenerationPlan,
    { requestId, arrival, deadline, trace, client }: RequestOrigin,
  ) {
    if (client.aborted) throw new ClientGoneError();
    this.#context = context;
    this.#plan = plan;
    this.#requestId = requestId;
    ({ promise: this.ended, resolve: this.#end } = Promise.withResolvers<void>());
    try {
      for (const request of plan.requests) this.#generations.push(context.engine.generate(request));
    } catch (error) {
      context.metrics.countRejection();
      this.#stopGenerations();
      throw error;
    }
    client.addEventListener("abort", () => this.abort(), { once: true });
    const shutDown = () => this.#fail(new HttpError(503, "The server is shutting down", { code: "shutting_down" }));
    context.shutdown?.addEventListener("abort", shutDown);
    const stopTimer = atDeadline(deadline, (error) => this.#fail(error));
    this.ended.then(() => {
      context.shutdown?.removeEventListener("abort", shutDown);
      stopTimer();
    });
    this.pace = new RunPace(arrival);
    this.#sequences = plan.requests.map((request, index) => new LiveSequence(requestId, index, request, arrival));
    for (const sequence of this.#sequences) {
      const { request, index } = sequence;
      this.#follow(
        sequence,
        new ChoiceClock(arrival, [
          context.metrics.observe(request),
          this.pace,
          ...trace ? [trace.observe(request, index)] : [],
        ]),
      );
    }
  }

  /** The tokens of a choice's prompt. */
  promptLength(index: number): number {
    return this.#plan.requests[index].prompt.length;
  }

  /** The first prompt. */
  get prompt(): Uint32Array {
    return this.#plan.requests[0].prompt;
  }

  get outcomes(): readonly Outcome[] {
    return this.#outcomes;
  }

  get kvCache(): KvCacheChoice {
    return this.#plan.requests[0].kvCache;
  }

  get usage(): Usage {
    const { promptTokens } = this.#plan;
    const { kvCache: cache, decoding, request } = this.#sequences[0];
    const { decodeInterval, decodeProtection } = request.kvCache;
    const notes = kvCacheNotes(request, cache);
    return {
      prompt_tokens: promptTokens,
      completion_tokens: this.#completionTokens,
      total_tokens: promptTokens + this.#completionTokens,
      prompt_tokens_details: { cached_tokens: this.#cachedTokens },
      kv_cache: cache && {
        policy: cache.policy,
        budget: cache.budget,
        prompt_rows: cache.promptRows,
        rows_per_layer: cache.rowsPerLayer,
        rows_per_head: cache.rowsPerHead,
        positions: this.#positions ??= cache.positions && asArrays(cache.positions),
        rows_ratio: mean(cache.rowsPerLayer) / cache.promptRows,
        ...cache.mass !== undefined && {
          mass: { wanted: cache.mass.wanted, kept: cache.mass.kept, max_rows: cache.mass.maxRows },
        },
        bytes: cache.bytes,
        full_bytes: cache.fullBytes,
        ratio: cache.bytes / cache.fullBytes,
        ...notes.length > 0 && { notes },
        ...cache.fallback !== undefined && { fallback: cache.fallback },
        ...decodeInterval !== undefined && {
          decode_eviction: { interval: decodeInterval, protect: decodeProtection ?? "prompt", ...decoding },
        },
      },
    };
  }

  /** The choices' pieces as they come, interleaved. Read once. @throws {HttpError} if the generation failed */
  get deltas(): AsyncIterable<ChoiceDelta | CachePiece> {
    return this.#deltas;
  }

  /** Reads every delta. @throws {HttpError} if the generation failed or the client has gone */
  async collect(): Promise<Choice[]> {
    const choices = this.#generations.map(() => ({
      text: "",
      tokens: [] as PlacedToken[],
      finishReason: "stop" as FinishReason,
    }));
    for await (const piece of this.#deltas) {
      if ("kvCache" in piece) continue;
      const { index, text, tokens, finishReason } = piece;
      const choice = choices[index];
      choice.text += text;
      choice.tokens.push(...tokens);
      choice.finishReason = finishReason ?? choice.finishReason;
    }
    if (this.#aborted) throw new ClientGoneError();
    return choices;
  }

  /** Ends every choice, because the client has gone. Idempotent, and harmless once the choices have ended. */
  abort(): void {
    this.#aborted = true;
    this.#deltas.close();
    this.#stopGenerations();
  }

  #fail(error: unknown): void {
    this.#deltas.fail(this.#context.reportError(error, this.#requestId));
    this.#stopGenerations();
  }

  #stopGenerations(): void {
    for (const generation of this.#generations) generation.abort();
  }

  /** Follows one choice to its end, without ever waiting for the client: a stop string must be noticed at once. */
  async #follow(sequence: LiveSequence, clock: ChoiceClock): Promise<void> {
    const { sequences } = this.#context;
    sequences.add(sequence);
    let outcome: Outcome;
    try {
      outcome = await this.#readEvents(sequence, clock);
    } catch (error) {
      outcome = "error";
      this.#fail(error);
    }
    sequences.delete(sequence);
    clock.ended(outcome);
    this.#outcomes.push(outcome);
    if (this.#outcomes.length < this.#generations.length) return;
    this.#deltas.close();
    this.#end();
  }

  async #readEvents(sequence: LiveSequence, clock: ChoiceClock): Promise<Outcome> {
    const { index } = sequence;
    const { isUnanswered, requests: { [index]: { stopTokens, kvCache: { report } } } } = this.#plan;
    const tellsCache = index === 0 && report !== undefined;
    const text = new ChoiceText(this.#context.text.tokenizer, this.#plan.textOptions);
    let tokenCount = 0;
    const emit = (finishReason: FinishReason | null) => {
      if (finishReason) text.finish();
      const delta = text.take();
      if (!delta.text && delta.tokens.length === 0 && !finishReason) return;
      const stopString = finishReason && text.stopString;
      this.#deltas.push({ index, ...delta, completionTokens: tokenCount, finishReason, stopString });
    };
    for await (const event of this.#generations[index].events) {
      switch (event.type) {
        case "reading":
          sequence.reading(event.rowsPerLayer);
          if (tellsCache) {
            const positions = event.positions && asArrays(event.positions);
            this.#deltas.push({ kvCache: { state: "prompt", rows_per_layer: event.rowsPerLayer, positions } });
          }
          break;
        case "prefilled":
          sequence.prefilled(event.kvCache);
          clock.prefilled(event.waitedSeconds);
          // The choices of a prompt count it once.
          if (this.#plan.requests[index].prompt !== this.#plan.requests[index - 1]?.prompt) {
            this.#cachedTokens += event.cachedTokens;
          }
          if (tellsCache) this.#deltas.push({ kvCache: { state: "generating", ...this.usage.kv_cache! } });
          break;
        case "evicted":
          sequence.evicted(event.rowsPerLayer, event.fallback);
          break;
        case "tokens": {
          if (isUnanswered) break;
          clock.tokens(event.tokens.length);
          for (const token of event.tokens) {
            tokenCount++;
            this.#completionTokens++;
            sequence.generated();
            // The token that ends a choice is counted but not shown.
            if (stopTokens.includes(token.id)) continue;
            text.push(token);
            if (!text.stopped) continue;
            emit("stop");
            // Leaving the loop aborts the generation.
            return "stop";
          }
          emit(null);
          break;
        }
        case "finished":
          if (event.reason === "aborted") {
            if (this.#aborted) return "abort";
            throw new HttpError(503, "The server stopped the generation", { code: "generation_stopped" });
          }
          if (isUnanswered) {
            emit("length");
            return "length";
          }
          this.#completionTokens += event.completionTokens - tokenCount;
          tokenCount = event.completionTokens;
          emit(event.reason);
          return event.reason;
        case "failed":
          throw new HttpError(500, event.message, { code: "generation_failed" });
        // None of these is asked for here.
        case "embedding":
        case "logits":
        case "paused":
          break;
        default:
          event satisfies never;
      }
    }
    if (this.#aborted) return "abort";
    throw new Error(`The events of choice ${index} ended without a last one`);
  }
}

/** As JSON has them. */
function asArrays(positions: NonNullable<KvCacheUsage["positions"]>): Positions {
  return positions.map((heads) => heads.map((rows) => Array.from(rows)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
