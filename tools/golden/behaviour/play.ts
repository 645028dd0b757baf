/** @file Plays the cases of every model on an engine of its own. */
import {
  companies,
  CONTENDERS,
  CONTEXT,
  EVICTION,
  LENGTHS,
  MODELS,
  MOST_COMPANIONS,
  POOL_ROWS,
  type RecordedModel,
} from "./cases.ts";
import { KEEP_ALL, playCompany, requestOf } from "./company.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { EMBEDDED_MODEL, type EngineClient, loadText, startEngine, withDirectory } from "./program.ts";
import { promptText, randomPrompts, textPrompts } from "./prompts.ts";

/** What a model's engine did. */
export interface ModelRecord {
  readonly cases: Readonly<Record<string, Outcome>>;
  /** What was refused, by what was asked. */
  readonly refusals: Readonly<Record<string, string>>;
  readonly counts: Readonly<Record<string, number>>;
  /** Lines for people. */
  readonly log: readonly string[];
  /** Tokens of the text that prompts are cut from. */
  readonly promptTokens?: readonly number[];
}

/** Records all models. */
export async function playAll(isSmall: boolean, log: (line: string) => void): Promise<Record<string, ModelRecord>> {
  const records: Record<string, ModelRecord> = {};
  for (const model of MODELS) {
    const begun = performance.now();
    const bytes = model.bytes();
    records[model.name] = bytes === null
      ? await playText(model, isSmall)
      : await withDirectory({ "model.gguf": bytes }, (folder) =>
        play(model, `${folder}/model.gguf`, randomPrompts(), isSmall));
    const { cases } = records[model.name];
    log(`${model.name}: ${Object.keys(cases).length} cases, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  }
  return records;
}

/** Records a model that reads and writes. */
async function playText(model: RecordedModel, isSmall: boolean): Promise<ModelRecord> {
  const { text } = await loadText(EMBEDDED_MODEL);
  try {
    const tokens = text.tokenizer.encode(promptText());
    const decode = (ids: readonly number[]) => text.tokenizer.decode(ids);
    const record = await play(model, EMBEDDED_MODEL, textPrompts(tokens), isSmall, decode);
    return { ...record, promptTokens: Array.from(tokens.subarray(0, 700)) };
  } finally {
    text.close();
  }
}

async function play(
  model: RecordedModel,
  path: string,
  prompts: readonly Uint32Array[],
  isSmall: boolean,
  decode?: (tokens: readonly number[]) => string,
): Promise<ModelRecord> {
  const log: string[] = [];
  const engine = await startEngine({
    model: path,
    kvType: model.kvType,
    context: CONTEXT,
    kvMemory: POOL_ROWS * model.tokenBytes,
    maxBatch: MOST_COMPANIONS,
    maxQueue: 2 * MOST_COMPANIONS,
    defaultKvCache: KEEP_ALL,
    log: (line) => log.push(line),
  });
  try {
    const cases: Record<string, Outcome> = {};
    for (const company of companies(model, isSmall)) {
      Object.assign(cases, await playCompany(engine, company, prompts, decode));
    }
    Object.assign(cases, await playContinuations(engine, prompts, decode));
    const refusals = refusalsOf(engine, prompts);
    const { rebalances, decodeEvictions, policyFallbacks } = await engine.stats();
    const fallbacks = Object.values(policyFallbacks).reduce((sum, count) => sum + count, 0);
    const counts = { rebalances, decodeEvictions, policyFallbacks: fallbacks };
    return { cases, refusals, counts, log };
  } finally {
    await engine.close();
  }
}

/** Generations that are given tokens, alone: once behind the prompt, and once more after a rewind. */
async function playContinuations(
  engine: EngineClient,
  prompts: readonly Uint32Array[],
  decode?: (tokens: readonly number[]) => string,
): Promise<Record<string, Outcome>> {
  const cases: Record<string, Outcome> = {};
  const [prompt, given, others] = [100, 9, 17].map((length) => prompts[LENGTHS.indexOf(length)]);
  for (const policy of ["full", "dynamickv", "adakv"]) {
    const generation = engine.generate({
      ...requestOf({ policy, budget: 40 }, prompt, 4),
      continuation: { tokens: given, logitsFrom: 2 },
      resumableTokens: 40,
    });
    let pauses = 0;
    cases[`given tokens, ${policy}`] = await outcomeOf(generation, decode, ({ type }) => {
      if (type !== "paused") return;
      if (++pauses > 1) generation.abort();
      else generation.resume({ rewind: true, continuation: { tokens: others, logitsFrom: 0 }, maxTokens: 5 });
    });
  }
  return cases;
}

/** What the engine says to those who cannot evict while they generate, and to a few other impossible things. */
function refusalsOf(engine: EngineClient, prompts: readonly Uint32Array[]): Record<string, string> {
  const prompt = prompts[LENGTHS.indexOf(100)];
  const asked: unknown[] = [
    ...CONTENDERS.filter(({ evicts }) => !evicts).map(({ policy, options }) => ({
      policy,
      options,
      budget: 40,
      decode_eviction: EVICTION,
    })),
    { policy: "nothing" },
    { scorer: "snapkv", allocator: "nothing" },
    { policy: "snapkv", budget: "lots" },
    { policy: "snapkv", options: { window: 0 } },
    { policy: "snapkv", options: { windows: 8 } },
    { policy: "snapkv", scorer: "h2o" },
  ];
  return Object.fromEntries(asked.map((kvCache) => [JSON.stringify(kvCache), refusalOf(engine, prompt, kvCache)]));
}

function refusalOf(engine: EngineClient, prompt: Uint32Array, kvCache: unknown): string {
  try {
    engine.generate(requestOf(kvCache, prompt, 20)).abort();
    return "not refused";
  } catch (error) {
    const { name, message, field } = error as Error & { field?: string };
    // Which policies there are is no matter of behaviour.
    return `${name} (${field}): ${message.replace(/ one of .*/, " one of ...")}`;
  }
}
