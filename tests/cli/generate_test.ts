import assert from "node:assert/strict";
import { complete, planCompletion } from "../../src/cli/generate.ts";
import type { GenerateOptions } from "../../src/cli/flags/serving.ts";
import type { Engine } from "../../src/contract/engine.ts";
import type { GenerationEvent, GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { fakeChatTemplate } from "../support/fake_text.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

const END = 0;

/** One token for each byte; 0 ends. */
const tokenizer = {
  endTokens: [END],
  addSpacePrefix: false,
  isSpecial: (id: number) => id === END,
  tokenBytes: (id: number) => new Uint8Array([id]),
} as unknown as Tokenizer;

const text = { tokenizer, encode: (prompt: string) => Promise.resolve(Uint32Array.from(bytesOf(prompt))) };

function bytesOf(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

/** An engine that plays these events, and what it was asked for. */
function fakeEngine(events: readonly GenerationEvent[], kvCache: Partial<KvCacheChoice>) {
  const requests: GenerationRequest[] = [];
  const engine = {
    model: { contextLength: 32, vocabularySize: 256 },
    defaultKvCache: { policy: "dynamickv", budget: 4, ...kvCache },
    generate(request: GenerationRequest) {
      requests.push(request);
      return { events: ReadableStream.from(events), abort: () => {} };
    },
  } as unknown as Engine;
  return { engine, requests };
}

const OPTIONS = { maxTokens: 8, temperature: 0 };

function tokens(...ids: number[]): GenerationEvent {
  return { type: "tokens", tokens: ids.map((id) => ({ id })) };
}

const PREFILLED: GenerationEvent = {
  type: "prefilled",
  kvCache: { policy: "dynamickv", budget: 4, promptRows: 5, rowsPerLayer: [5, 3, 1], bytes: 3072, fullBytes: 4096 },
  cachedTokens: 0,
};

async function run(
  events: readonly GenerationEvent[],
  options: Partial<GenerateOptions> = {},
  kvCache: Partial<KvCacheChoice> = {},
) {
  const { engine, requests } = fakeEngine(events, kvCache);
  const { prompt = "Hello", ...drawn } = options;
  const pieces: string[] = [];
  const report: string[] = [];
  const head = { text, chatTemplate: fakeChatTemplate, contextLength: 32 };
  const task = await planCompletion({ ...OPTIONS, chat: false, system: undefined, ...drawn, prompt }, head);
  const output = { text: (piece: string) => pieces.push(piece), report: (line: string) => report.push(line) };
  // What is done takes no time but where tokens come.
  let time = 0;
  await complete(engine, tokenizer, task, output, () => {
    const now = time;
    time += 250;
    return now;
  });
  return { request: requests[0], pieces, report };
}

const FINISHED: GenerationEvent = { type: "finished", reason: "stop", completionTokens: 3 };

Deno.test("The text streams as it comes, whole characters only, without the stop token", async () => {
  const [first, second] = bytesOf("é");
  const { pieces } = await run([PREFILLED, tokens(72, first), tokens(second, END), FINISHED]);
  assert.deepEqual(pieces, ["H", "", "é", "\n"]);
});

Deno.test("The report names the rows of every layer, the bytes, the ratio and the number of tokens", async () => {
  const { report } = await run([PREFILLED, tokens(72), tokens(73), FINISHED]);
  assert.equal(report[0], "KV rows kept per layer (dynamickv), of 5: 5 3 1");
  assert.equal(report[1], "KV cache of the prompt: 3.0 KiB of 4.0 KiB (75.0 %)");
  assert.equal(report[2], "2 tokens, the first after 0.25 s, then 4.0 tokens/s");
  assert.equal(report.length, 3);
});

Deno.test("Where rows are evicted while generating, the report tells how often and what is held at the end", async () => {
  const evicted: GenerationEvent = { type: "evicted", rowsPerLayer: [4, 2, 0] };
  const { report } = await run([PREFILLED, tokens(72, 73), evicted, tokens(74), FINISHED], {}, { decodeInterval: 1 });
  // Of the tokens behind the eviction one is a row of the cache; the last never becomes one.
  assert.equal(report[2], "KV rows held per layer at the end, after 1 eviction: 5 3 1");
  assert.equal(report.length, 4);
});

Deno.test("A single token has no speed", async () => {
  assert.equal((await run([PREFILLED, tokens(END), FINISHED])).report[2], "1 token, the first after 0.25 s");
});

Deno.test("The request carries the flags, the end tokens and the engine's policy", async () => {
  const { request } = await run([FINISHED], { temperature: 0.5, topP: 0.9, seed: 7 });
  assert.deepEqual([...request.prompt], bytesOf("Hello"));
  assert.deepEqual(request.stopTokens, [END]);
  assert.equal(request.maxTokens, 8);
  assert.equal(request.sampling.temperature, 0.5);
  assert.equal(request.sampling.topP, 0.9);
  assert.equal(request.sampling.seed, 7);
  assert.deepEqual(request.kvCache, { policy: "dynamickv", budget: 4 });
});

Deno.test("Every flag of drawing goes into the request; more likely tokens than there are, are all", async () => {
  const flags = { topK: 1000, minP: 0.1, frequencyPenalty: -0.5, presencePenalty: 0.5, repetitionPenalty: 1.1 };
  const { sampling } = (await run([FINISHED], { ...flags, temperature: 1, topP: 0.9, seed: 7 })).request;
  assert.deepEqual(sampling, { ...flags, topK: 256, temperature: 1, topP: 0.9, seed: 7, logitBias: [] });
});

Deno.test("A stop string ends the text before it, and the generation; the report comes all the same", async () => {
  const { pieces, report } = await run([PREFILLED, tokens(...bytesOf("ab-")), tokens(...bytesOf("-cd")), FINISHED], {
    stop: ["--"],
  });
  assert.equal(pieces.join(""), "ab\n");
  assert.match(report[2], /^4 tokens, /);
});

Deno.test("No more tokens are asked for than the context has room for", async () => {
  assert.equal((await run([FINISHED], { maxTokens: 1000 })).request.maxTokens, 32 - 5);
});

Deno.test("A prompt that is empty or fills the context is refused with the numbers", async () => {
  await assert.rejects(run([], { prompt: "" }), { message: "--prompt is empty: expected a text to continue" });
  await assert.rejects(run([], { prompt: "x".repeat(32) }), {
    message: "The prompt has 32 tokens: expected fewer than the context of 32",
  });
});

Deno.test("A message is written as the chat template has it, with the system's before it", async () => {
  const rendered = "system: Be brief.\nuser: Hi\nassistant:".length;
  const head = { text, chatTemplate: { ...fakeChatTemplate, stopStrings: ["user:"] }, contextLength: rendered + 1 };
  const options = { ...OPTIONS, chat: true, system: "Be brief.", prompt: "Hi" };
  const task = await planCompletion({ ...options, stop: ["."] }, head);
  assert.deepEqual([...task.prompt], bytesOf("system: Be brief.\nuser: Hi\nassistant:"));
  assert.deepEqual([task.stop, task.continuation], [[".", "user:"], false]);
  await assert.rejects(planCompletion({ ...options, prompt: "Hi!" }, head), { reason: "usage" });
});

Deno.test("A device with less room than the model is told so", async () => {
  const { engine } = fakeEngine([], {});
  const task = { ...OPTIONS, prompt: new Uint32Array(32), continuation: true };
  await assert.rejects(complete(engine, tokenizer, task, { text: () => {}, report: () => {} }), { reason: "failure" });
});

Deno.test("A generation that fails fails the command with the engine's words", async () => {
  await assert.rejects(run([PREFILLED, { type: "failed", message: "the GPU was lost" }]), {
    message: "The generation failed: the GPU was lost",
  });
});
