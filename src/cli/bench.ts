/** @file `main.ts bench serve`: sends requests to a server with OpenAI's API and measures how fast it answers. */
import { systemReason } from "../formats/system_reason.ts";
import { arrivals } from "../eval/load/arrivals.ts";
import { type Measured, requester, runLoad } from "../eval/load/measure.ts";
import { type LoadRequest, randomRequests, randomText, recordedRequests, type WordsPer } from "../eval/load/prompts.ts";
import { loadChart, loadTables } from "../eval/load/report.ts";
import { summariseLoad, summaryJson } from "../eval/load/summary.ts";
import { Random } from "../eval/tasks/random.ts";
import { requireOutFile } from "./out_file.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { BenchServeOptions } from "./flags/measuring.ts";
import { requestProgress } from "./progress.ts";

/** Words of the request that finds out how many tokens words are. */
const TRIAL_WORDS = 32;

/** Measures a server. */
export async function benchServe(options: BenchServeOptions): Promise<number> {
  const { url, apiKey, requests: count, rate, burstiness, concurrency, seed, goodput } = options;
  if (options.out !== undefined) await requireOutFile("--out", options.out, ".json");
  const baseURL = `${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
  const model = options.apiModel ?? await firstModel(baseURL, apiKey);
  const ask = requester({ baseURL, model, apiKey, ignoresEnd: options.ignoreEos });
  const requests = await prepare(options, ask);
  const show = requestProgress();
  const { measured, seconds } = await runLoad(
    requests,
    arrivals(count, rate ?? Infinity, burstiness, new Random(`${seed}`)),
    {
      ask,
      concurrency: concurrency ?? Infinity,
      onDone: (done) => show(done, count),
    },
  );
  const summary = summariseLoad(measured, seconds, goodput);
  console.log(loadTables(summary));
  for (const error of summary.errors) console.error(`Failed: ${error}`);
  if (options.out !== undefined) {
    const { apiKey: _, ...told } = options;
    const json = { date: new Date().toISOString(), model, ...told, ...summaryJson(summary) };
    await Deno.writeTextFile(options.out, `${JSON.stringify(json, null, 2)}\n`);
    const notes = [
      `${model}: ${count} requests, ${rate === undefined ? "all at once" : `${rate} a second`}, ` +
      `${concurrency === undefined ? "any number" : `at most ${concurrency}`} at once`,
    ];
    await Deno.writeTextFile(options.out.replace(/\.json$/, ".svg"), loadChart(summary, notes));
  }
  return summary.completed > 0 ? EXIT_CODES.ok.code : EXIT_CODES.failure.code;
}

async function prepare(
  options: BenchServeOptions,
  ask: (request: LoadRequest) => Promise<Measured>,
): Promise<LoadRequest[]> {
  const { dataset, records, requests: count, seed, inputLength, outputLength, spread, prefixLength, prefixes } =
    options;
  if (dataset === "sharegpt") {
    if (records === undefined) throw new ExitError("usage", "--records is missing: name a file in ShareGPT's form");
    try {
      return recordedRequests(await Deno.readTextFile(records), count, outputLength, seed);
    } catch (error) {
      throw new ExitError("usage", `--records ${records} cannot be used: ${systemReason(error)}`);
    }
  }
  const lengths = {
    input: inputLength,
    output: outputLength,
    spread,
    prefix: prefixLength,
    prefixes: dataset === "prefix" ? prefixes : 0,
  };
  return randomRequests(count, lengths, seed, await learnWordsPer(ask, seed));
}

/** Of no model are the tokens known; one request tells how many its words were. It warms the server up, too. */
async function learnWordsPer(ask: (request: LoadRequest) => Promise<Measured>, seed: number): Promise<WordsPer> {
  const prompt = randomText(new Random(`trial ${seed}`), TRIAL_WORDS);
  const { error, inputTokens } = await ask({ prompt, maxTokens: 1 });
  if (error !== null) throw new ExitError("failure", `The server did not answer a first request: ${error}`);
  return (tokens) => tokens * TRIAL_WORDS / inputTokens;
}

async function firstModel(baseURL: string, apiKey: string | undefined): Promise<string> {
  const headers = apiKey === undefined ? undefined : { authorization: `Bearer ${apiKey}` };
  try {
    const response = await fetch(`${baseURL}/models`, { headers });
    const body = await response.json();
    if (response.ok && typeof body?.data?.[0]?.id === "string") return body.data[0].id;
    throw new Error(body?.error?.message ?? `it answers with status ${response.status}`);
  } catch (error) {
    throw new ExitError("failure", `${baseURL}/models names no model: ${(error as Error).message}`);
  }
}
