/** @file From a validated request to what the engine is asked: defaults, limits of the model, one sequence per choice. */
import type { GenerationRequest } from "../contract/generation.ts";
import type { ChoiceTextOptions } from "./choice_text.ts";
import type { RouteContext } from "./context.ts";
import { HttpError } from "./errors.ts";
import type { GenerationFields } from "./request_schema.ts";

/** What an endpoint adds to the shared fields. */
export interface EndpointFields {
  /** The field that holds the prompt, for error messages. */
  readonly promptField: string;
  /** As in GenerationRequest. */
  readonly topLogprobs: number | undefined;
  readonly maxTokens: number | null | undefined;
  /** Completion tokens if the request sets no limit; fewer if the context ends before, or the memory. */
  readonly defaultMaxTokens: number;
  /** Whether what is generated goes on with the prompt's text; otherwise a text of its own begins. */
  readonly continuation: boolean;
}

/** Everything that is decided before the engine is asked. */
export interface GenerationPlan {
  /** One per choice. */
  readonly requests: readonly GenerationRequest[];
  /** Tokens of all prompts, each counted once however many choices it has. */
  readonly promptTokens: number;
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
  const { sampling: defaults } = engine.model;
  const choices = fields.n ?? 1;
  requireRoom(prompts.length, choices, engine.maxSequences, endpoint.promptField);
  const seed = fields.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  const stopTokens = [...(fields.ignore_eos ? [] : text.tokenizer.endTokens), ...(fields.stop_token_ids ?? [])];
  requireTokens(fields.stop_token_ids ?? [], engine.model.vocabularySize, "stop_token_ids");
  const logitBias = Object.entries(fields.logit_bias ?? {}).map(([token, bias]) => ({ token: Number(token), bias }));
  requireTokens(logitBias.map(({ token }) => token), engine.model.vocabularySize, "logit_bias");
  const kvCache = fields.kv_cache ? context.parseKvCache(fields.kv_cache) : engine.defaultKvCache;

  const requests = prompts.flatMap((prompt) => {
    const request: GenerationRequest = {
      prompt,
      maxTokens: limitCompletion(prompt.length, engine.model.contextLength, endpoint),
      stopTokens,
      sampling: {
        temperature: fields.temperature ?? defaults.temperature,
        topK: Math.max(fields.top_k ?? defaults.topK, 0),
        topP: fields.top_p ?? defaults.topP,
        minP: fields.min_p ?? defaults.minP,
        frequencyPenalty: fields.frequency_penalty ?? 0,
        presencePenalty: fields.presence_penalty ?? 0,
        repetitionPenalty: fields.repetition_penalty ?? defaults.repetitionPenalty,
        logitBias,
        seed: seed >>> 0,
      },
      topLogprobs: endpoint.topLogprobs,
      kvCache,
    };
    // A limit that nobody set gives way to the memory; where not even one token fits, the engine says so.
    const maxTokens = endpoint.maxTokens ?? Math.max(1, engine.fittingTokens(request));
    return Array.from({ length: choices }, (_, choice): GenerationRequest => ({
      ...request,
      maxTokens,
      // Each choice needs a seed of its own; the same prompt elsewhere in a batch keeps its result.
      sampling: { ...request.sampling, seed: (request.sampling.seed + choice) >>> 0 },
    }));
  });
  return {
    requests,
    promptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    textOptions: {
      stopStrings: fields.stop ?? [],
      includeStop: fields.include_stop_str_in_output ?? false,
      skipSpecial: fields.skip_special_tokens ?? true,
      continuation: endpoint.continuation,
    },
  };
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

/** @throws {HttpError} 400 if there are more completions than the engine ever holds; a full queue would be worth a retry */
function requireRoom(prompts: number, choices: number, maxSequences: number, promptField: string): void {
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

function limitCompletion(promptTokens: number, contextLength: number, endpoint: EndpointFields): number {
  const { promptField, maxTokens, defaultMaxTokens } = endpoint;
  const room = contextLength - promptTokens;
  if (room < (maxTokens ?? 1)) {
    const advice = room >= 1 ? `Lower max_tokens to ${room} or shorten the prompt` : "Shorten the prompt";
    throw new HttpError(
      400,
      `This model's maximum context length is ${contextLength} tokens. However, you requested ` +
        `${promptTokens + (maxTokens ?? 1)} tokens (${promptTokens} in the ${promptField}, ${maxTokens ?? 1} in the ` +
        `completion). ${advice}`,
      { param: promptField, code: "context_length_exceeded" },
    );
  }
  return maxTokens ?? Math.min(defaultMaxTokens, room);
}
