/** @file From a validated request to what the engine is asked: defaults, limits of the model, one sequence per choice. */
import type { GenerationRequest, MessageRange, Reasoning } from "../../contract/generation.ts";
import { FORBIDDEN_BIAS } from "../../contract/sampling.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { RouteContext } from "../context.ts";
import { HttpError } from "../errors.ts";
import type { GenerationFields } from "../requests/shared_fields.ts";
import type { ChoiceTextOptions } from "./choice_text.ts";

/** The seed that stands for another one each time, in llama-server. */
const ANY_SEED = -1;

/** What an endpoint adds to the shared fields. */
export interface EndpointFields {
  /** The field that holds the prompt, for error messages. */
  readonly promptField: string;
  /** As in GenerationRequest. */
  readonly topLogprobs: number | undefined;
  /** What this endpoint calls `max_tokens`, if it has a name of its own for it. */
  readonly maxTokens?: number | null;
  /** Completion tokens if the request sets no limit; fewer if the context ends before, or the memory. */
  readonly defaultMaxTokens: number;
  /** As in GenerationRequest. */
  readonly grammar?: string;
  /** As in GenerationRequest. */
  readonly grammarAfter?: number;
  /** As in GenerationRequest. */
  readonly grammarElse?: string;
  /** As in GenerationRequest. */
  readonly reasoning?: Reasoning;
  /** Special tokens that are shown all the same. */
  readonly shown?: ReadonlySet<number>;
  /** Whether what is generated goes on with the prompt's text; otherwise a text of its own begins. */
  readonly continuation: boolean;
  /** As in GenerationRequest. */
  readonly messages?: readonly MessageRange[];
}

/** Everything that is decided before the engine is asked. */
export interface GenerationPlan {
  /** One per choice. */
  readonly requests: readonly GenerationRequest[];
  /** Tokens of all prompts, each counted once however many choices it has. */
  readonly promptTokens: number;
  /** Whether nothing of what is generated is told: the prompt alone is asked about. */
  readonly isUnanswered: boolean;
  readonly textOptions: ChoiceTextOptions;
}

/**
 * Fills in the defaults and checks what depends on the model.
 *
 * @throws {HttpError} 400 @throws {UnservableRequestError} from the check of the KV cache policy
 */
export function planGeneration(
  context: RouteContext,
  fields: GenerationFields,
  prompts: readonly Uint32Array[],
  endpoint: EndpointFields,
): GenerationPlan {
  const { engine, text } = context;
  const { sampling: defaults, vocabularySize } = engine.model;
  const choices = fields.n ?? 1;
  const seed = fields.seed === undefined || fields.seed === null || fields.seed === ANY_SEED
    ? crypto.getRandomValues(new Uint32Array(1))[0]
    : fields.seed;
  const stopTokens = [...(fields.ignore_eos ? [] : text.tokenizer.endTokens), ...(fields.stop_token_ids ?? [])];
  requireTokens(fields.stop_token_ids ?? [], vocabularySize, "stop_token_ids");
  const logitBias = Object.entries(fields.logit_bias ?? {}).map(([token, bias]) => ({ token: Number(token), bias }));
  requireTokens(logitBias.map(({ token }) => token), vocabularySize, "logit_bias");
  requireTokens(fields.allowed_token_ids ?? [], vocabularySize, "allowed_token_ids");
  const forbidden = forbiddenTokens(text.tokenizer, fields.bad_words ?? []);
  const kvCache = fields.kv_cache ? context.parseKvCache(fields.kv_cache) : engine.defaultKvCache;

  const minTokens = fields.min_tokens ?? 0;

  const { promptField } = endpoint;
  const endless = fields.n_predict === -1;
  const limit = endpoint.maxTokens ?? fields.max_tokens ?? (endless ? null : fields.n_predict) ?? undefined;
  const isUnanswered = limit === 0;
  // Every generation draws a token.
  const given = isUnanswered ? 1 : limit;
  const otherwise = endless ? Infinity : endpoint.defaultMaxTokens;

  const requests = prompts.flatMap((prompt) => {
    const request: GenerationRequest = {
      prompt,
      maxTokens: limitCompletion(prompt.length, engine.model.contextLength, { promptField, given, otherwise }),
      stopTokens,
      ...minTokens > 0 && { minTokens },
      ...fields.priority && { priority: fields.priority },
      ...typeof fields.cache_salt === "string" && { cacheSalt: fields.cache_salt },
      sampling: {
        temperature: fields.temperature ?? defaults.temperature,
        // More than all tokens are all of them; the GPU counts with 32 bits.
        topK: Math.min(Math.max(fields.top_k ?? defaults.topK, 0), vocabularySize),
        topP: fields.top_p ?? defaults.topP,
        minP: fields.min_p ?? defaults.minP,
        frequencyPenalty: fields.frequency_penalty ?? 0,
        presencePenalty: fields.presence_penalty ?? 0,
        repetitionPenalty: fields.repetition_penalty ?? fields.repeat_penalty ?? defaults.repetitionPenalty,
        logitBias: [...logitBias, ...forbidden],
        ...fields.allowed_token_ids && { allowedTokens: Uint32Array.from(fields.allowed_token_ids) },
        seed: seed >>> 0,
      },
      topLogprobs: endpoint.topLogprobs,
      ...endpoint.grammar !== undefined && !isUnanswered && { grammar: endpoint.grammar },
      ...endpoint.grammarAfter !== undefined && { grammarAfter: endpoint.grammarAfter },
      ...endpoint.grammarElse !== undefined && { grammarElse: endpoint.grammarElse },
      ...endpoint.reasoning !== undefined && { reasoning: endpoint.reasoning },
      kvCache,
      ...endpoint.messages?.length && { messages: endpoint.messages },
    };
    // A limit that nobody set gives way to the memory; where not even one token fits, the engine says so.
    const maxTokens = given ?? Math.max(1, engine.fittingTokens(request));
    const most = isUnanswered ? 0 : maxTokens;
    if (minTokens > most) {
      throw new HttpError(
        400,
        `min_tokens is ${minTokens}; expected at most ${most}, which is how many tokens the reply may have`,
        { param: "min_tokens" },
      );
    }
    return Array.from({ length: choices }, (_, choice): GenerationRequest => ({
      ...request,
      maxTokens,
      // Each choice needs a seed of its own; the same prompt elsewhere in a batch keeps its result.
      sampling: { ...request.sampling, seed: (request.sampling.seed + choice) >>> 0 },
    }));
  });
  return {
    requests,
    isUnanswered,
    promptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    textOptions: {
      // Half a character is in no text: it must not be found in a whole one.
      stopStrings: (fields.stop ?? []).filter((stop) => stop.isWellFormed()),
      minTokens,
      includeStop: fields.include_stop_str_in_output ?? false,
      skipSpecial: fields.skip_special_tokens ?? true,
      shown: endpoint.shown,
      continuation: endpoint.continuation,
    },
  };
}

/**
 * Biases that keep words from being generated, each at the start of a text and behind a space.
 *
 * @throws {HttpError} 400 if a word is made of several tokens, of which each by itself may be innocent
 */
function forbiddenTokens(tokenizer: Tokenizer, words: readonly string[]): { token: number; bias: number }[] {
  return words.flatMap((word, at) => {
    const spellings = [word, ` ${word}`].map((spelling) => tokenizer.encode(spelling, { addSpecial: false }));
    const single = spellings.filter(({ length }) => length === 1);
    if (single.length === 0) {
      const message = `bad_words[${at}] is ${
        JSON.stringify(word)
      }, which is several tokens; expected words of one token`;
      throw new HttpError(400, message, { param: `bad_words[${at}]` });
    }
    return single.map(([token]) => ({ token, bias: FORBIDDEN_BIAS }));
  });
}

/** @throws {HttpError} 400 if a token id lies outside the vocabulary */
export function requireTokens(tokens: ArrayLike<number>, vocabularySize: number, field: string): void {
  for (let at = 0; at < tokens.length; at++) {
    if (tokens[at] < vocabularySize) continue;
    throw new HttpError(400, `${field} holds token ${tokens[at]}; expected ids below ${vocabularySize}`, {
      param: field,
    });
  }
}

/**
 * To be asked before prompts are encoded.
 *
 * @throws {HttpError} 400 if there are more completions than the engine ever holds; a full queue would be worth a retry
 */
export function requireRoom(prompts: number, choices: number, maxSequences: number, promptField: string): void {
  const completions = prompts * choices;
  if (completions <= maxSequences) return;
  const several = choices > 1 && prompts > 1 ? ` (${choices} of each of ${prompts} prompts)` : "";
  throw new HttpError(
    400,
    `The request asks for ${completions} completions${several}, but the server takes ${maxSequences} at once: send ` +
      "several requests, or raise --max-queue",
    { param: choices > 1 ? "n" : promptField, code: "too_many_completions" },
  );
}

/** The most tokens that a prompt leaves room for, up to the limit that was set, or else the default one. */
function limitCompletion(
  promptTokens: number,
  contextLength: number,
  { promptField, given, otherwise }: { promptField: string; given: number | undefined; otherwise: number },
): number {
  const room = contextLength - promptTokens;
  const wanted = given ?? 1;
  if (room < wanted) {
    const advice = room >= 1 ? `Lower max_tokens to ${room} or shorten the prompt` : "Shorten the prompt";
    throw new HttpError(
      400,
      `This model's maximum context length is ${contextLength} tokens. However, you requested ` +
        `${
          promptTokens + wanted
        } tokens (${promptTokens} in the ${promptField}, ${wanted} in the completion). ${advice}`,
      { param: promptField, code: "context_length_exceeded" },
    );
  }
  return given ?? Math.min(otherwise, room);
}
