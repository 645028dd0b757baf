/** @file `main.ts generate`: one completion, or one answer to a message, streamed to standard output. */
import type { Engine } from "../contract/engine.ts";
import type { KvCacheUsage } from "../contract/generation.ts";
import { GREEDY } from "../contract/sampling.ts";
import type { ModelHead } from "../serving/start_engine.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { DecodeTally } from "../routes/generation/decode_tally.ts";
import { ChoiceText } from "../routes/generation/choice_text.ts";
import { RunPace } from "../routes/generation/run_pace.ts";
import { describePace } from "./describe_pace.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { GenerateOptions } from "./flags/serving.ts";
import { startForOne } from "./start_for_one.ts";
import { printText } from "./standard_output.ts";
import { formatBytes } from "./units.ts";

/** Where the text and the report go. */
export interface GenerateOutput {
  /** Receives the generated text, piece by piece. */
  text(piece: string): void;
  /** Receives the report's lines. */
  report(line: string): void;
}

/** Generates a completion of `--prompt`, or an answer to it. */
export async function generate(options: GenerateOptions): Promise<number> {
  const prompt = options.prompt === "-" ? await new Response(Deno.stdin.readable).text() : options.prompt;
  let task: CompletionTask;
  const { engine, text, close } = await startForOne(options, async (head) => {
    task = await planCompletion({ ...options, prompt }, head);
  });
  try {
    await complete(engine, text.tokenizer, task!, terminal);
  } finally {
    await close();
  }
  return EXIT_CODES.ok.code;
}

/** How a completion is drawn; what is left out is neutral. */
export type CompletionOptions =
  & Pick<GenerateOptions, "maxTokens">
  & Partial<Pick<GenerateOptions, "topK" | "topP" | "minP" | "seed" | "stop" | "temperature">>
  & Partial<Pick<GenerateOptions, "frequencyPenalty" | "presencePenalty" | "repetitionPenalty">>;

/** What is to be completed, and how. */
export interface CompletionTask extends CompletionOptions {
  readonly prompt: Uint32Array;
  /** Whether the text goes on with the prompt's; else it begins one. */
  readonly continuation: boolean;
}

/**
 * The tokens of a text to continue or of a message to answer.
 *
 * @throws {ExitError} with the reason `usage`, when there are none, or more than the context has room for
 */
export async function planCompletion(
  options: CompletionOptions & Pick<GenerateOptions, "prompt" | "chat" | "system">,
  { text, chatTemplate, contextLength }: Pick<ModelHead, "text" | "chatTemplate" | "contextLength">,
): Promise<CompletionTask> {
  if (options.prompt === "") throw new ExitError("usage", "--prompt is empty: expected a text to continue");
  let prompt: Uint32Array;
  if (options.chat) {
    const system = options.system === undefined ? [] : [{ role: "system", content: options.system }];
    const rendered = chatTemplate.render({ messages: [...system, { role: "user", content: options.prompt }] });
    prompt = await text.encode(rendered.text, rendered.encoding);
  } else {
    prompt = await text.encode(options.prompt);
  }
  if (prompt.length === 0) throw new ExitError("usage", "--prompt has no tokens: expected a text to continue");
  requireRoom(prompt, contextLength, "usage");
  const stop = [...options.stop ?? [], ...options.chat ? chatTemplate.stopStrings : []];
  return { ...options, prompt, stop, continuation: !options.chat };
}

function requireRoom({ length }: Uint32Array, contextLength: number, reason: "usage" | "failure"): void {
  if (length < contextLength) return;
  throw new ExitError(reason, `The prompt has ${length} tokens: expected fewer than the context of ${contextLength}`);
}

/** Streams the completion to `output`, then reports the KV cache and the speed. @param now tells the time, in milliseconds */
export async function complete(
  engine: Engine,
  tokenizer: Tokenizer,
  task: CompletionTask,
  output: GenerateOutput,
  now = () => performance.now(),
): Promise<void> {
  const { prompt } = task;
  // A device may have less room than the model.
  requireRoom(prompt, engine.model.contextLength, "failure");
  const pace = new RunPace(now(), now);
  const generation = engine.generate({
    prompt,
    maxTokens: Math.min(task.maxTokens, engine.model.contextLength - prompt.length),
    stopTokens: tokenizer.endTokens,
    sampling: {
      temperature: task.temperature ?? GREEDY.temperature,
      // More than all tokens are all of them; the GPU counts with 32 bits.
      topK: Math.min(task.topK ?? GREEDY.topK, engine.model.vocabularySize),
      topP: task.topP ?? GREEDY.topP,
      minP: task.minP ?? GREEDY.minP,
      frequencyPenalty: task.frequencyPenalty ?? GREEDY.frequencyPenalty,
      presencePenalty: task.presencePenalty ?? GREEDY.presencePenalty,
      repetitionPenalty: task.repetitionPenalty ?? GREEDY.repetitionPenalty,
      logitBias: [],
      seed: task.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    },
    kvCache: engine.defaultKvCache,
  });
  const answer = new ChoiceText(tokenizer, {
    stopStrings: task.stop ?? [],
    includeStop: false,
    skipSpecial: true,
    continuation: task.continuation,
  });
  const stopTokens = new Set(tokenizer.endTokens);
  let tokens = 0;
  let kvCache: KvCacheUsage | undefined;
  const decoding = new DecodeTally();
  /** What ends it, whether the model does or a stop string. */
  const finish = () => {
    answer.finish();
    output.text(`${answer.take().text}\n`);
    if (kvCache !== undefined) reportCache(kvCache).forEach(output.report);
    if (engine.defaultKvCache.decodeInterval !== undefined) output.report(reportDecoding(decoding));
    output.report(describePace(tokens, pace));
  };
  for await (const event of generation.events) {
    switch (event.type) {
      case "prefilled":
        kvCache = event.kvCache;
        decoding.settle(kvCache.rowsPerLayer);
        break;
      case "evicted":
        decoding.evict(event.rowsPerLayer);
        break;
      case "tokens":
        pace.tokens(event.tokens.length);
        for (const token of event.tokens) {
          tokens++;
          decoding.generate();
          if (stopTokens.has(token.id)) continue;
          answer.push(token);
          // Leaving the loop ends the generation.
          if (answer.stopped) return finish();
          output.text(answer.take().text);
        }
        break;
      case "finished":
        finish();
        break;
      case "failed":
        throw new ExitError("failure", `The generation failed: ${event.message}`);
      // None of these is asked for here.
      case "embedding":
      case "logits":
      case "paused":
      case "reading":
        break;
      default:
        event satisfies never;
    }
  }
}

function reportCache(
  { policy, promptRows, rowsPerLayer, budget, mass, bytes, fullBytes }: KvCacheUsage,
): string[] {
  return [
    ...mass === undefined ? [] : [
      `KV budget: ${budget} rows per layer, of at most ${mass.maxRows}` +
      (mass.kept === null ? "" : `, keep ${(100 * mass.kept).toFixed(1)} % of the attention`),
    ],
    `KV rows kept per layer (${policy}), of ${promptRows}: ${
      // Means of heads can be fractions.
      rowsPerLayer.map((rows) => Number(rows.toFixed(1))).join(" ")}`,
    `KV cache of the prompt: ${formatBytes(bytes)} of ${formatBytes(fullBytes)} (${
      (100 * bytes / fullBytes).toFixed(1)
    } %)`,
  ];
}

function reportDecoding({ usage: { evictions, rows_per_layer: rowsPerLayer } }: DecodeTally): string {
  return `KV rows held per layer at the end, after ${evictions} ${evictions === 1 ? "eviction" : "evictions"}: ${
    rowsPerLayer.join(" ")
  }`;
}

const terminal: GenerateOutput = { text: printText, report: (line) => console.error(line) };
