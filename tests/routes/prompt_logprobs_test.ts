import assert from "node:assert/strict";
import { ClientGoneError } from "../../src/routes/errors.ts";
import type { RouteContext } from "../../src/routes/context.ts";
import { promptLogprobs } from "../../src/routes/generation/prompt_logprobs.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { collect, randomPrompt, request, startTestEngine } from "../support/engine.ts";
import { FakeEngine, type Script } from "../support/fake_engine.ts";
import { TOKEN } from "../support/fake_text.ts";
import { readError, readEvents, startApp } from "./harness.ts";

const PATH = "/v1/completions";
const signal = new AbortController().signal;

/** Logits with which a token has three quarters of the mass, and the next one an eighth. */
function logitsOf(token: number): Float32Array {
  const logits = new Float32Array(300).fill(-Infinity);
  logits[token] = Math.log(6);
  logits[token + 1] = Math.log(1);
  logits[token + 2] = Math.log(1);
  return logits;
}

/** Answers " one" to everything, and finds the third and fourth token of "abc" as likely as said. */
const script = ({ prompt, continuation }: { prompt: Uint32Array; continuation?: unknown }): Script => {
  if (continuation) return { tokens: [0], logits: [logitsOf(98), logitsOf(98)] };
  if (prompt.length > 1) return { tokens: [TOKEN.one] };
  return { tokens: [{ id: 97, logprob: -0.5, topLogprobs: [{ id: 120, logprob: -0.25 }, { id: 97, logprob: -0.5 }] }] };
};

Deno.test("a prompt's log-probabilities are those that its tokens would have been drawn with", async () => {
  const engine = await startTestEngine({ architecture: "llama", seed: 3 });
  try {
    const prompt = randomPrompt(seededRandom(7), 40);
    const { tokens } = await collect(engine.generate(request(prompt, { maxTokens: 12, topLogprobs: 3 })));
    const whole = Uint32Array.from([...prompt, ...tokens.map(({ id }) => id)]);
    const scored = await promptLogprobs({ engine } as unknown as RouteContext, whole, { count: 3, signal });
    assert.deepEqual(scored.map(({ id }) => id), [...whole]);
    assert.equal(scored[0].logprob, undefined);
    for (const [at, token] of tokens.entries()) {
      const { logprob, rank, topLogprobs } = scored[prompt.length + at];
      assert.ok(Math.abs(logprob! - token.logprob!) < 2e-3, `token ${at}: ${logprob} is not ${token.logprob}`);
      // They were drawn greedily.
      assert.equal(rank, 1);
      assert.deepEqual(topLogprobs!.map(({ id }) => id), token.topLogprobs!.map(({ id }) => id));
    }
    const alone = await collect(engine.generate(request(whole.slice(0, 1), { maxTokens: 1, topLogprobs: 20 })));
    const second = alone.tokens[0].topLogprobs!.find(({ id }) => id === whole[1]);
    if (second) assert.ok(Math.abs(scored[1].logprob! - second.logprob) < 2e-3);
    assert.ok(scored[1].logprob! < 0);
  } finally {
    await engine.close();
  }
});

Deno.test("an echoed prompt has log-probabilities like the tokens behind it, streamed and not", async () => {
  const { post, engine } = startApp({ script });
  const body = { prompt: "abc", echo: true, logprobs: 2, max_tokens: 1, add_special_tokens: true };
  const { choices: [{ text, logprobs }] } = await (await post(PATH, { ...body, priority: -2, cache_salt: "salt" }))
    .json();
  assert.equal(text, "abc one");
  assert.deepEqual(new Set(engine.requests.map(({ priority }) => priority)), new Set([-2]));
  assert.deepEqual(new Set(engine.requests.map(({ cacheSalt }) => cacheSalt)), new Set(["salt"]));
  assert.deepEqual(logprobs.tokens, ["<s>", "a", "b", "c", " one"]);
  assert.deepEqual(logprobs.text_offset, [0, 0, 1, 2, 3]);
  const [first, a, b, c, one] = logprobs.token_logprobs;
  assert.deepEqual([first, a, one], [null, -0.5, -0.5]);
  assert.ok(Math.abs(b - Math.log(6 / 8)) < 1e-6);
  assert.ok(Math.abs(c - Math.log(1 / 8)) < 1e-6);
  assert.deepEqual(Object.keys(logprobs.top_logprobs[2]).sort(), ["b", "c"]);
  assert.equal(logprobs.top_logprobs[0], null);
  // The sequences that the prompt was scored with keep to no budget.
  assert.deepEqual(engine.requests.map(({ kvCache }) => kvCache.policy), ["dynamickv", "full", "full"]);

  const streamed: any = { tokens: [], token_logprobs: [], text_offset: [] };
  for (const { choices: [{ logprobs }] } of await readEvents(await post(PATH, { ...body, stream: true }))) {
    for (const name of Object.keys(streamed)) streamed[name].push(...logprobs[name]);
  }
  const { tokens, token_logprobs, text_offset } = logprobs;
  assert.deepEqual(streamed, { tokens, token_logprobs, text_offset });
});

Deno.test("prompt_logprobs are vLLM's: by id, with rank and text, of completions and chats", async () => {
  const { post, engine } = startApp({ script });
  const { choices: [{ prompt_logprobs }] } = await (await post(PATH, { prompt: "abc", prompt_logprobs: 1 })).json();
  assert.equal(prompt_logprobs[0], null);
  const c = prompt_logprobs[3];
  assert.deepEqual(Object.keys(c), ["98", "99"]);
  assert.deepEqual([c[99].rank, c[99].decoded_token, c[98].rank], [2, "c", 1]);
  const body = { messages: [{ role: "user", content: "x" }], prompt_logprobs: 1 };
  const chat = await (await post("/v1/chat/completions", body)).json();
  assert.equal(chat.prompt_logprobs[0], null);
  assert.deepEqual(Object.keys(chat.prompt_logprobs[1]), ["97", "120"]);
  // They leave the prompt in the prefix cache, too.
  const before = engine.requests.length;
  await post("/v1/chat/completions", { ...body, cache_salt: "salt" });
  assert.deepEqual(engine.requests.slice(before).map(({ cacheSalt }) => cacheSalt), ["salt", "salt", "salt"]);
  const { status, param } = await readError(await post(PATH, { prompt: "a", prompt_logprobs: 1, stream: true }));
  assert.deepEqual([status, param], [400, "prompt_logprobs"]);
});

Deno.test("scoring a prompt ends when nobody waits for it any more", async () => {
  const engine = new FakeEngine({ script: () => ({ tokens: [1], hold: "prefill" }) });
  const gone = new AbortController();
  const scored = promptLogprobs({ engine } as unknown as RouteContext, Uint32Array.of(1, 2), {
    count: 0,
    signal: gone.signal,
  });
  setTimeout(() => gone.abort(), 1);
  await assert.rejects(scored, ClientGoneError);
  assert.deepEqual(engine.aborts, ["prefill"]);
});

Deno.test("best_of gives the choices whose tokens are likeliest on average", async () => {
  const means = [-3, -1, -2];
  const { post, engine } = startApp({
    script: (_, index) => ({
      tokens: [{ id: 97 + index, logprob: means[index] }, { id: 97 + index, logprob: means[index] }],
    }),
  });
  const { choices, usage } = await (await post(PATH, { prompt: "x", best_of: 3, n: 2, max_tokens: 2 })).json();
  assert.deepEqual(choices.map(({ index, text, logprobs }: any) => [index, text, logprobs]), [[0, "bb", null], [
    1,
    "cc",
    null,
  ]]);
  assert.equal(usage.completion_tokens, 6);
  assert.equal(new Set(engine.requests.map(({ sampling }) => sampling.seed)).size, 3);
});

for (
  const [fields, words] of [[{ best_of: 1, n: 2 }, /at least n/], [
    { best_of: 2, stream: true },
    /beside stream/,
  ]] as const
) {
  Deno.test(`best_of is refused in ${JSON.stringify(fields)}`, async () => {
    const { status, param, message } = await readError(
      await startApp({ tokens: [1] }).post(PATH, { prompt: "x", ...fields }),
    );
    assert.deepEqual([status, param], [400, "best_of"]);
    assert.match(message, words);
  });
}

Deno.test("return_tokens_as_token_ids names tokens by their ids", async () => {
  const { post } = startApp({ tokens: [TOKEN.one] });
  const body = { prompt: "x", logprobs: 0, max_tokens: 1, return_tokens_as_token_ids: true };
  const { choices: [{ logprobs }] } = await (await post(PATH, body)).json();
  assert.deepEqual(logprobs.tokens, [`token_id:${TOKEN.one}`]);
});
