/** @file A trained model behind the whole program: what comes out is language, the same that llama.cpp writes. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { hasStories, runMain, STORIES, TestServer } from "../support/server.ts";

if (!hasStories) console.log("Skipping stories: ../shared/models/stories260K.gguf is missing");

const PROMPT = "Once upon a time";
/** What llama.cpp continues with, greedily; see ../shared/models/README.md. */
const STORY =
  ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.";
const GREEDY = { model: "stories260K", prompt: PROMPT, temperature: 0, max_tokens: 40 };

let server: TestServer;
let client: OpenAI;

/** The server outlives one test and is stopped by another. */
const BESIDE_OTHERS = { sanitizeOps: false, sanitizeResources: false };

function storyTest(name: string, fn: () => Promise<void>, options: Partial<Deno.TestDefinition> = {}): void {
  Deno.test({ name, ignore: !hasStories, fn, ...options });
}

/** The text of a streamed completion, and its last finish reason. */
async function streamed(body: OpenAI.CompletionCreateParamsNonStreaming) {
  let text = "";
  let finishReason: string | null = null;
  let pieces = 0;
  for await (const chunk of await client.completions.create({ ...body, stream: true })) {
    for (const choice of chunk.choices) {
      text += choice.text;
      finishReason = choice.finish_reason ?? finishReason;
      pieces++;
    }
  }
  return { text, finishReason, pieces };
}

storyTest("generate streams the story to standard output, and the rows kept to standard error", async () => {
  const { code, stdout, stderr } = await runMain(
    ...["generate", "--model", STORIES, "--prompt", PROMPT, "--max-tokens", "40", "--temperature", "0"],
  );
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${STORY}\n`);
  assert.match(stderr, /^KV rows kept per layer \(ebbkv\), of 5: 5 5 5 5 5$/m);
  assert.match(stderr, /^40 tokens, the first after /m);
});

storyTest("serve listens on a free port", async () => {
  server = await TestServer.start(STORIES);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
}, BESIDE_OTHERS);

storyTest("openai gets the story, streamed and not", async () => {
  const whole = await client.completions.create(GREEDY);
  assert.equal(whole.choices[0].text, STORY);
  assert.equal(whole.choices[0].finish_reason, "length");
  assert.deepEqual([whole.usage!.prompt_tokens, whole.usage!.completion_tokens], [5, 40]);
  const { text, finishReason, pieces } = await streamed(GREEDY);
  assert.equal(text, STORY);
  assert.equal(finishReason, "length");
  assert.ok(pieces > 3, `the story came in ${pieces} pieces`);
});

storyTest("the plain request of the README streams the story over SSE", async () => {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ ...GREEDY, stream: true }),
  });
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  const events = (await response.text()).split("\n\n").filter((event) => event !== "");
  assert.equal(events.pop(), "data: [DONE]");
  const text = events.map((event) => JSON.parse(event.replace(/^data: /, "")).choices[0].text).join("");
  assert.equal(text, STORY);
});

storyTest("sixteen clients at once all get the story", async () => {
  const stories = await Promise.all(Array.from({ length: 16 }, () => streamed(GREEDY)));
  assert.deepEqual(stories.map(({ text }) => text), Array(16).fill(STORY));
  await server.untilIdle();
});

storyTest("a stop string ends the story before it, streamed and not", async () => {
  const stop = [" ball", " named Li"];
  const expected = ", there was a little girl";
  const whole = await client.completions.create({ ...GREEDY, stop });
  assert.equal(whole.choices[0].text, expected);
  assert.equal(whole.choices[0].finish_reason, "stop");
  const { text, finishReason } = await streamed({ ...GREEDY, stop });
  assert.deepEqual([text, finishReason], [expected, "stop"]);
  await server.untilIdle();
});

storyTest("log-probabilities are those of the tokens, whose texts are the story", async () => {
  const whole = await client.completions.create({ ...GREEDY, logprobs: 3 });
  const { tokens, token_logprobs, top_logprobs, text_offset } = whole.choices[0].logprobs!;
  assert.equal(tokens!.join(""), STORY);
  assert.equal(tokens!.length, 40);
  tokens!.forEach((token, i) => {
    assert.ok(token_logprobs![i] <= 0);
    // Greedy: the token is the most likely one.
    assert.equal(Math.max(...Object.values(top_logprobs![i])), token_logprobs![i], token);
    assert.equal(text_offset![i], tokens!.slice(0, i).join("").length);
  });
});

storyTest("a seed repeats a sample, alone and in a batch, and the choices of a request differ", async () => {
  const sampled = { ...GREEDY, temperature: 1, top_p: 0.95, seed: 7, max_tokens: 30, n: 3 };
  const texts = async () => (await client.completions.create(sampled)).choices.map(({ text }) => text);
  const first = await texts();
  assert.equal(new Set(first).size, 3);
  const repeated = await Promise.all([texts(), texts(), texts()]);
  for (const again of repeated) assert.deepEqual(again, first);
  const other = await client.completions.create({ ...sampled, seed: 1000, n: 1 });
  assert.notEqual(other.choices[0].text, first[0]);
});

storyTest("chat completions answer, streamed and not, with the same text and usage", async () => {
  const chat = {
    model: "stories260K",
    messages: [{ role: "user" as const, content: "Tell me of Lily and Tim" }],
    temperature: 0,
    max_completion_tokens: 24,
  };
  const whole = await client.chat.completions.create(chat);
  assert.ok(whole.choices[0].message.content!.length > 0);
  let text = "";
  let usage;
  const stream = await client.chat.completions.create({
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  // What is found of the prompt the second time is in its details.
  const { prompt_tokens_details } = whole.usage!;
  assert.deepEqual({ ...usage, prompt_tokens_details }, whole.usage);
});

storyTest("health, models and metrics answer", async () => {
  const health = await fetch(`${server.url}/health`);
  assert.deepEqual([health.status, (await health.json()).status], [200, "ok"]);
  const { data } = await client.models.list();
  assert.deepEqual(data.map(({ id }) => id), ["stories260K"]);
  assert.ok((await server.metric("ebb_generation_tokens_total"))[0] > 40 * 18);
  assert.equal((await server.metric("ebb_kv_blocks_used")).length, 5);
  await assert.rejects(server.metric("ebb_kv_policy_fallbacks_total"), /There is no metric/);
});

storyTest("a prompt longer than the context is refused as OpenAI does", async () => {
  const error = await client.completions.create({ ...GREEDY, prompt: "Lily ".repeat(500) }).catch((error) => error);
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.code, "context_length_exceeded");
});

storyTest("SIGTERM lets a running stream finish, then the process ends with 0 and one line printed", async () => {
  const stream = await client.completions.create({ ...GREEDY, max_tokens: 100, stream: true });
  const chunks = stream[Symbol.asyncIterator]();
  let text = (await chunks.next()).value!.choices[0].text;
  const stopped = server.stop();
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) text += next.value.choices[0].text;
  assert.ok(text.startsWith(STORY), text);
  const { code, stdout, stderr } = await stopped;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `Listening on ${server.url}\n`);
  assert.ok(!stderr.includes('"level":"error"'), stderr);
}, BESIDE_OTHERS);
