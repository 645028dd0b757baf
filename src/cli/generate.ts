/** @file `main.ts generate`: one completion, or one answer to a message, streamed to standard output. */
import type { Engine } from "../contract/engine.ts";
import type { KvCacheUsage } from "../contract/generation.ts";
import { GREEDY } from "../contract/sampling.ts";
import type { RenderedPrompt } from "../text/chat_template.ts";
import type { TextEncoding } from "../text/text_processor.ts";
import { DecodeTally } from "../routes/generation/decode_tally.ts";
import { ChoiceText } from "../routes/generation/choice_text.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { GenerateOptions } from "./flags.ts";
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
  if (options.system !== undefined && !options.chat) {
    throw new ExitError("usage", "--system needs --chat: a text that is only continued has no system message");
  }
  const prompt = options.prompt === "-" ? await new Response(Deno.stdin.readable).text() : options.prompt;
  const { engine, text, chatTemplate, close } = await startForOne(options);
  try {
    if (options.chat) {
      const system = options.system === undefined ? [] : [{ role: "system", content: options.system }];
      const rendered = chatTemplate.render({ messages: [...system, { role: "user", content: prompt }] });
      const stop = [...options.stop ?? [], ...chatTemplate.stopStrings];
      await complete(engine, text, { ...options, stop }, rendered, terminal);
    } else {
      await complete(engine, text, options, prompt, terminal);
    }
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

/**
 * Streams the completion to `output`, then reports the KV cache and the speed.
 *
 * @param given a text to continue, or a conversation to answer
 */
export async function complete(
  engine: Engine,
  text: TextEncoding,
  options: CompletionOptions,
  given: string | RenderedPrompt,
  output: GenerateOutput,
): Promise<void> {
  const prompt = typeof given === "string" ? await text.encode(given) : await text.encode(given.text, given.encoding);
  if (prompt.length === 0) throw new ExitError("usage", "--prompt is empty: expected a text to continue");
  const room = engine.model.contextLength - prompt.length;
  if (room < 1) {
    throw new ExitError(
      "failure",
      `The prompt has ${prompt.length} tokens: expected fewer than the context of ${engine.model.contextLength}`,
    );
  }
  const startedAt = performance.now();
  const generation = engine.generate({
    prompt,
    maxTokens: Math.min(options.maxTokens, room),
    stopTokens: text.tokenizer.endTokens,
    sampling: {
      temperature: options.temperature ?? GREEDY.temperature,
      // More than all tokens are all of them; the GPU counts with 32 bits.
      topK: Math.min(options.topK ?? GREEDY.topK, engine.model.vocabularySize),
      topP: options.topP ?? GREEDY.topP,
      minP: options.minP ?? GREEDY.minP,
      frequencyPenalty: options.frequencyPenalty ?? GREEDY.frequencyPenalty,
      presencePenalty: options.presencePenalty ?? GREEDY.presencePenalty,
      repetitionPenalty: options.repetitionPenalty ?? GREEDY.repetitionPenalty,
      logitBias: [],
      seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    },
    kvCache: engine.defaultKvCache,
  });
  const answer = new ChoiceText(text.tokenizer, {
    stopStrings: options.stop ?? [],
    includeStop: false,
    skipSpecial: true,
    continuation: typeof given === "string",
  });
  const stopTokens = new Set(text.tokenizer.endTokens);
  let firstTokenAt = startedAt;
  let firstTokens = 0;
  let tokens = 0;
  let kvCache: KvCacheUsage | undefined;
  const decoding = new DecodeTally();
  /** What ends it, whether the model does or a stop string. */
  const finish = () => {
    answer.finish();
    output.text(`${answer.take().text}\n`);
    if (kvCache !== undefined) reportCache(kvCache).forEach(output.report);
    if (engine.defaultKvCache.decodeInterval !== undefined) output.report(reportDecoding(decoding));
    output.report(
      reportSpeed(tokens, firstTokenAt - startedAt, tokens - firstTokens, performance.now() - firstTokenAt),
    );
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
        if (tokens === 0) {
          firstTokenAt = performance.now();
          firstTokens = event.tokens.length;
        }
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
    }
  }
}

function reportCache({ policy, promptRows, rowsPerLayer, bytes, fullBytes }: KvCacheUsage): string[] {
  return [
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

/** The first tokens are the prompt's work, so the speed is that of the `later` ones. Times in milliseconds. */
function reportSpeed(tokens: number, untilFirst: number, later: number, laterTime: number): string {
  const first = `${tokens} ${tokens === 1 ? "token" : "tokens"}, the first after ${(untilFirst / 1000).toFixed(2)} s`;
  return later === 0 ? first : `${first}, then ${(later / (laterTime / 1000)).toFixed(1)} tokens/s`;
}

const terminal: GenerateOutput = { text: printText, report: (line) => console.error(line) };
