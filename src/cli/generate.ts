/** @file `main.ts generate`: one completion, streamed to standard output. */
import type { Engine } from "../contract/engine.ts";
import type { KvCacheUsage } from "../contract/generation.ts";
import { GREEDY } from "../contract/sampling.ts";
import type { TextEncoding } from "../text/text_processor.ts";
import { DecodeTally } from "../routes/generation/decode_tally.ts";
import { Detokenizer } from "../text/detokenizer.ts";
import { chooseDevice } from "../serving/device.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { GenerateOptions } from "./flags.ts";
import { localModel } from "./local_model.ts";
import { defaultKvCacheOf, policiesOf } from "./policies.ts";
import { progressDisplay } from "./progress.ts";
import { startEngine } from "../serving/start_engine.ts";
import { formatBytes } from "./units.ts";

/** Where the text and the report go. */
export interface GenerateOutput {
  /** Receives the generated text, piece by piece. */
  text(piece: string): void;
  /** Receives the report's lines. */
  report(line: string): void;
}

/** Generates a completion of `--prompt`. */
export async function generate(options: GenerateOptions): Promise<number> {
  const prompt = options.prompt === "-" ? await new Response(Deno.stdin.readable).text() : options.prompt;
  const policies = await policiesOf(options);
  const defaultKvCache = defaultKvCacheOf(options, policies);
  const model = await localModel(options.model);
  const device = await chooseDevice(options.device, console.error);
  const { engine, text, close } = await startEngine(
    {
      model,
      device,
      threads: options.threads,
      cpuWeights: options.cpuWeights,
      context: options.context,
      defaultKvCache,
      maxBatch: 1,
      maxQueue: 1,
    },
    policies,
    progressDisplay(),
  );
  try {
    await complete(engine, text, { ...options, prompt }, terminal);
  } finally {
    await close();
  }
  return EXIT_CODES.ok.code;
}

/** Streams the completion to `output`, then reports the KV cache and the speed. */
export async function complete(
  engine: Engine,
  text: TextEncoding,
  options: Pick<GenerateOptions, "prompt" | "maxTokens" | "temperature" | "topP" | "seed">,
  output: GenerateOutput,
): Promise<void> {
  const prompt = await text.encode(options.prompt);
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
      ...GREEDY,
      temperature: options.temperature,
      topP: options.topP,
      seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    },
    kvCache: engine.defaultKvCache,
  });
  const detokenizer = new Detokenizer(text.tokenizer);
  const stopTokens = new Set(text.tokenizer.endTokens);
  let firstTokenAt = startedAt;
  let firstTokens = 0;
  let tokens = 0;
  let kvCache: KvCacheUsage | undefined;
  const decoding = new DecodeTally();
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
        tokens += event.tokens.length;
        for (const { id } of event.tokens) {
          decoding.generate();
          if (!stopTokens.has(id)) output.text(detokenizer.push(id));
        }
        break;
      case "finished":
        output.text(`${detokenizer.flush()}\n`);
        if (kvCache !== undefined) reportCache(kvCache).forEach(output.report);
        if (engine.defaultKvCache.decodeInterval !== undefined) output.report(reportDecoding(decoding));
        output.report(
          reportSpeed(tokens, firstTokenAt - startedAt, tokens - firstTokens, performance.now() - firstTokenAt),
        );
        break;
      case "failed":
        throw new ExitError("failure", `The generation failed: ${event.message}`);
    }
  }
}

function reportCache({ policy, promptRows, rowsPerLayer, budget, bytes, fullBytes }: KvCacheUsage): string[] {
  return [
    ...budget === undefined ? [] : [
      `KV budget: ${budget.rows} rows per layer, of at most ${budget.maxRows}` +
      (budget.kept === null ? "" : `, keep ${(100 * budget.kept).toFixed(1)} % of the attention`),
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

/** The first tokens are the prompt's work, so the speed is that of the `later` ones. Times in milliseconds. */
function reportSpeed(tokens: number, untilFirst: number, later: number, laterTime: number): string {
  const first = `${tokens} ${tokens === 1 ? "token" : "tokens"}, the first after ${(untilFirst / 1000).toFixed(2)} s`;
  return later === 0 ? first : `${first}, then ${(later / (laterTime / 1000)).toFixed(1)} tokens/s`;
}

const encoder = new TextEncoder();

const terminal: GenerateOutput = {
  text: (piece) => {
    // writeSync may write a part only, when standard output is a pipe.
    for (let bytes = encoder.encode(piece); bytes.length > 0;) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  },
  report: (line) => console.error(line),
};
