/** @file `POST /v1/completions`: continues texts. */
import type { Context } from "hono";
import { Detokenizer } from "../text/detokenizer.ts";
import { infillingPrompt, suffixText, suffixTokens } from "../text/infilling.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment, ServerContext } from "./context.ts";
import { HttpError } from "./errors.ts";
import { chunkUsage } from "./generation/chunk_usage.ts";
import type { PlacedToken } from "./generation/choice_text.ts";
import { encodeTexts } from "./generation/encode.ts";
import type { FinishReason } from "./generation/outcome.ts";
import { planGeneration, requireRoom, requireTokens } from "./generation/plan.ts";
import { promptLogprobs, type PromptToken } from "./generation/prompt_logprobs.ts";
import { type Choice, GenerationRun } from "./generation/run.ts";
import { useModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { completionRequest, type PromptField } from "./requests/completion_request.ts";
import { answerGrammar } from "./requests/structured_output.ts";
import { readRequest } from "./requests/read.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";
import { finiteLogprob, promptLogprob, tokenName } from "./generation/token_text.ts";

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

/** A prompt as text, if it came as text, and as tokens. */
interface Prompt {
  readonly text: string | null;
  readonly tokens: Uint32Array;
}

/** Handles `POST /v1/completions`. */
export function completionsHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(server, c.req.raw, completionRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    requireReady(context);
    const given = splitPrompts(request.prompt);
    const n = request.n ?? 1;
    const candidates = request.best_of ?? n;
    requireRoom(given.length, candidates, engine.maxSequences, "prompt");
    const client = c.req.raw.signal;
    const addSpecial = request.add_special_tokens ?? true;
    const prompts = request.suffix
      ? await readInfillings(context, given, request.suffix, addSpecial, client)
      : await readPrompts(context, given, addSpecial, client);
    const plan = planGeneration(context, { ...request, n: candidates }, prompts.map(({ tokens }) => tokens), {
      promptField: "prompt",
      // The best of several is found by its log-probabilities.
      topLogprobs: request.logprobs ?? (candidates > n ? 0 : undefined),
      defaultMaxTokens: DEFAULT_MAX_TOKENS,
      grammar: answerGrammar(request),
      continuation: true,
    });
    const run = new GenerationRun(context, plan, { ...c.var, client });
    c.set("run", run);
    const scoring = new AbortController();
    const scores = scorePrompts(AbortSignal.any([client, scoring.signal]));
    c.set("work", scores);
    // Whoever waits for them is told.
    scores.catch(() => {});

    const head = {
      id: `cmpl-${c.var.requestId}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: engine.model.id,
    };
    const withLogprobs = typeof request.logprobs === "number";
    const choiceOf = (
      index: number,
      text: string,
      tokens: readonly PlacedToken[],
      finishReason: FinishReason | null,
    ) => ({
      index,
      text,
      logprobs: withLogprobs ? completionLogprobs(tokenizer, tokens, request.return_tokens_as_token_ids) : null,
      finish_reason: finishReason,
    });
    /** What a choice's text starts with. */
    const echoOf = (index: number) => {
      if (!request.echo) return "";
      const prompt = prompts[Math.floor(index / n)];
      return prompt.text ?? tokenizer.decode(prompt.tokens);
    };
    /** The tokens that a choice's text starts with, and the same tokens of the choice behind them. */
    const echoedTokens = async (index: number): Promise<PlacedToken[]> => {
      const tokens = (await scores)[Math.floor(index / n)];
      return request.echo && withLogprobs ? placeTokens(tokenizer, tokens) : [];
    };
    const behindEcho = (index: number, tokens: readonly PlacedToken[]): readonly PlacedToken[] => {
      const length = [...echoOf(index)].length;
      return length === 0 ? tokens : tokens.map((token) => ({ ...token, textOffset: token.textOffset + length }));
    };

    if (request.stream) {
      const events = eventStream(chunks(), {
        keepAliveMilliseconds: context.keepAliveMilliseconds,
        onCancel() {
          run.abort();
          scoring.abort();
        },
        toHttpError: (error) => context.reportError(error, c.var.requestId),
      });
      return c.body(events, 200, EVENT_STREAM_HEADERS);
    }
    const [collected, promptTokens] = await Promise.all([run.collect(), scores]);
    const choices = prompts.flatMap((_, at) => best(collected.slice(at * candidates, (at + 1) * candidates), n));
    return c.json({
      ...head,
      choices: await Promise.all(choices.map(async ({ text, tokens, finishReason }, index) => {
        const shown = [...await echoedTokens(index), ...behindEcho(index, tokens)];
        return {
          ...choiceOf(index, echoOf(index) + text, shown, finishReason),
          ...typeof request.prompt_logprobs === "number" && {
            prompt_logprobs: promptTokens[Math.floor(index / n)].map((token) =>
              promptLogprob(tokenizer, { ...token, topLogprobs: token.topLogprobs?.slice(0, request.prompt_logprobs!) })
            ),
          },
        };
      })),
      usage: run.usage,
    });

    /** Of every prompt, what the model thinks of it, where the reply tells. */
    async function scorePrompts(signal: AbortSignal): Promise<PromptToken[][]> {
      const counts = [request.prompt_logprobs, request.echo ? request.logprobs : undefined]
        .filter((count) => typeof count === "number");
      if (counts.length === 0) return prompts.map(() => []);
      const scored: PromptToken[][] = [];
      for (const { tokens } of prompts) {
        const { priority } = request;
        scored.push(await promptLogprobs(context, tokens, { count: Math.max(...counts), signal, priority }));
      }
      return scored;
    }

    async function* chunks() {
      const { stream_options: options } = request;
      const usageOf = chunkUsage(options, (index) => run.promptLength(index));
      for (const index of plan.requests.keys()) {
        const echo = echoOf(index);
        if (!echo) continue;
        yield { ...head, choices: [choiceOf(index, echo, await echoedTokens(index), null)], ...usageOf(index, 0) };
      }
      for await (const piece of run.deltas) {
        if ("kvCache" in piece) {
          yield { ...head, choices: [], kv_cache: piece.kvCache, ...usageOf(0, 0) };
          continue;
        }
        const { index, text, tokens, completionTokens, finishReason } = piece;
        const usage = usageOf(index, completionTokens);
        if (text || tokens.length > 0) {
          yield { ...head, choices: [choiceOf(index, text, behindEcho(index, tokens), null)], ...usage };
        }
        if (finishReason) yield { ...head, choices: [choiceOf(index, "", [], finishReason)], ...usage };
      }
      if (options?.include_usage) yield { ...head, choices: [], usage: run.usage };
    }
  };
}

function splitPrompts(prompt: PromptField): (string | number[])[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : prompt as string[] | number[][];
}

async function readPrompts(
  context: RouteContext,
  given: readonly (string | number[])[],
  addSpecial: boolean,
  client: AbortSignal,
): Promise<Prompt[]> {
  // Half a character, which JSON can hold, is in no text.
  const texts = given.filter((prompt) => typeof prompt === "string").map((prompt) => prompt.toWellFormed());
  const encoded = await encodeTexts(context, texts, { field: "prompt", client, options: { addSpecial } });
  if (encoded.some(({ length }) => length === 0)) {
    throw new HttpError(400, "prompt holds no tokens; expected a text that is not empty", { param: "prompt" });
  }
  if (texts.length > 0) return texts.map((text, at) => ({ text, tokens: encoded[at] }));
  return (given as number[][]).map((ids) => {
    requireTokens(ids, context.engine.model.vocabularySize, "prompt");
    return { text: null, tokens: Uint32Array.from(ids) };
  });
}

/** What is read to tell what is between each of the prompts and a suffix. */
async function readInfillings(
  context: RouteContext,
  given: readonly (string | number[])[],
  suffix: string,
  addSpecial: boolean,
  client: AbortSignal,
): Promise<Prompt[]> {
  const { tokenizer } = context.text;
  const { infilling, addBeginToken, beginToken } = tokenizer;
  if (infilling === null) {
    throw new HttpError(
      400,
      "suffix cannot be honoured: the model's vocabulary has no tokens for infilling, so it was not trained for it",
      { param: "suffix" },
    );
  }
  const task = { field: "suffix", client, options: { addSpecial: false } };
  const [encoded] = await encodeTexts(context, [suffixText(suffix.toWellFormed(), tokenizer)], task);
  const behind = suffixTokens(encoded, tokenizer);
  const begin = addSpecial && addBeginToken ? beginToken : null;
  // Nothing may stand before the gap.
  const empty = (prompt: string | number[]) => prompt === "" ? [] : [prompt];
  const before = await readPrompts(context, given.flatMap(empty), false, client);
  return given.map((prompt) => {
    const { text, tokens } = prompt === "" ? { text: "", tokens: new Uint32Array() } : before.shift()!;
    return { text, tokens: infillingPrompt(infilling, { begin, before: tokens, behind }) };
  });
}

/** The choices that the model finds likeliest, by the mean of their tokens' log-probabilities; in the order they came in if equal. */
function best(choices: readonly Choice[], count: number): readonly Choice[] {
  if (choices.length === count) return choices;
  const meanOf = ({ tokens }: Choice) =>
    tokens.length === 0 ? -Infinity : tokens.reduce((sum, { logprob = 0 }) => sum + logprob, 0) / tokens.length;
  const means = new Map(choices.map((choice) => [choice, meanOf(choice)]));
  return choices.toSorted((a, b) => means.get(b)! - means.get(a)! || 0).slice(0, count);
}

/** Tokens of a prompt, each with the place of its text. */
function placeTokens(tokenizer: Tokenizer, tokens: readonly PromptToken[]): PlacedToken[] {
  const detokenizer = new Detokenizer(tokenizer, { continuation: false });
  let textOffset = 0;
  return tokens.map((token) => {
    const placed = { ...token, textOffset };
    textOffset += [...detokenizer.push(token.id)].length;
    return placed;
  });
}

/** `logprobs` of the completions API; each list has one entry per token. A prompt's first token has none. */
function completionLogprobs(tokenizer: Tokenizer, tokens: readonly PlacedToken[], asIds?: boolean | null) {
  const isFirst = ({ logprob }: PlacedToken) => logprob === undefined;
  return {
    tokens: tokens.map(({ id }) => tokenName(tokenizer, id, asIds)),
    token_logprobs: tokens.map((token) => isFirst(token) ? null : finiteLogprob(token.logprob)),
    // The chosen token is always there, whether or not it is among the most likely.
    top_logprobs: tokens.map((place) =>
      isFirst(place) ? null : Object.fromEntries(
        [...place.topLogprobs ?? [], place].map(({ id, logprob }) => [
          tokenName(tokenizer, id, asIds),
          finiteLogprob(logprob),
        ]),
      )
    ),
    text_offset: tokens.map(({ textOffset }) => textOffset),
  };
}
