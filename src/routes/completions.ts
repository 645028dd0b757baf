/** @file `POST /v1/completions`: continues texts. */
import type { Context } from "hono";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment } from "./context.ts";
import { HttpError } from "./errors.ts";
import type { PlacedToken } from "./generation/choice_text.ts";
import { encodeTexts } from "./generation/encode.ts";
import type { FinishReason } from "./generation/outcome.ts";
import { planGeneration, requireRoom, requireTokens } from "./generation/plan.ts";
import { GenerationRun } from "./generation/run.ts";
import { finiteLogprob, tokenDisplay } from "./generation/token_text.ts";
import { answerGrammar } from "./requests/structured_output.ts";
import { requireModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { completionRequest, type PromptField } from "./requests/completion_request.ts";
import { readRequest } from "./requests/read.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

/** A prompt as text, if it came as text, and as tokens. */
interface Prompt {
  readonly text: string | null;
  readonly tokens: Uint32Array;
}

/** Handles `POST /v1/completions`. */
export function completionsHandler(context: RouteContext) {
  const { engine, text: { tokenizer } } = context;
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(context, c.req.raw, completionRequest);
    requireModel(context, request.model);
    requireReady(context);
    const given = splitPrompts(request.prompt);
    requireRoom(given.length, request.n ?? 1, engine.maxSequences, "prompt");
    const client = c.req.raw.signal;
    const prompts = await readPrompts(context, given, request.add_special_tokens ?? true, client);
    const plan = planGeneration(context, request, prompts.map(({ tokens }) => tokens), {
      promptField: "prompt",
      topLogprobs: request.logprobs ?? undefined,
      defaultMaxTokens: DEFAULT_MAX_TOKENS,
      grammar: answerGrammar(request)?.grammar,
      continuation: true,
    });
    const run = new GenerationRun(context, plan, { ...c.var, client });
    c.set("run", run);

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
      logprobs: withLogprobs ? completionLogprobs(tokenizer, tokens) : null,
      finish_reason: finishReason,
    });
    /** What a choice's text starts with. */
    const echoOf = (index: number) => {
      if (!request.echo) return "";
      const prompt = prompts[Math.floor(index / (request.n ?? 1))];
      return prompt.text ?? tokenizer.decode(prompt.tokens);
    };

    if (request.stream) {
      const events = eventStream(chunks(request.stream_options?.include_usage === true), {
        keepAliveMilliseconds: context.keepAliveMilliseconds,
        onCancel: () => run.abort(),
        toHttpError: (error) => context.reportError(error, c.var.requestId),
      });
      return c.body(events, 200, EVENT_STREAM_HEADERS);
    }
    const choices = await run.collect();
    return c.json({
      ...head,
      choices: choices.map((choice, index) =>
        choiceOf(index, echoOf(index) + choice.text, choice.tokens, choice.finishReason)
      ),
      usage: run.usage,
    });

    async function* chunks(includeUsage: boolean) {
      const usage = includeUsage ? { usage: null } : {};
      for (const index of plan.requests.keys()) {
        const echo = echoOf(index);
        if (echo) yield { ...head, choices: [choiceOf(index, echo, [], null)], ...usage };
      }
      for await (const { index, text, tokens, finishReason } of run.deltas) {
        if (text || tokens.length > 0) yield { ...head, choices: [choiceOf(index, text, tokens, null)], ...usage };
        if (finishReason) yield { ...head, choices: [choiceOf(index, "", [], finishReason)], ...usage };
      }
      if (includeUsage) yield { ...head, choices: [], usage: run.usage };
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

/** `logprobs` of the completions API; each list has one entry per token. */
function completionLogprobs(tokenizer: Tokenizer, tokens: readonly PlacedToken[]) {
  return {
    tokens: tokens.map(({ id }) => tokenDisplay(tokenizer, id).text),
    token_logprobs: tokens.map(({ logprob }) => finiteLogprob(logprob)),
    // The chosen token is always there, whether or not it is among the most likely.
    top_logprobs: tokens.map(({ id, logprob, topLogprobs = [] }) =>
      Object.fromEntries(
        [...topLogprobs, { id, logprob }].map((token) => [
          tokenDisplay(tokenizer, token.id).text,
          finiteLogprob(token.logprob),
        ]),
      )
    ),
    text_offset: tokens.map(({ textOffset }) => textOffset),
  };
}
