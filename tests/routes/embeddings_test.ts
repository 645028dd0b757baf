import assert from "node:assert/strict";
import OpenAI from "openai";
import type { Encoded, Encoder, EncoderModel } from "../../src/contract/encoder.ts";
import { UnservableRequestError } from "../../src/contract/errors.ts";
import { listen } from "../../src/routes/listener.ts";
import { readError, startApp } from "./harness.ts";

const MODEL: EncoderModel = {
  id: "vectors",
  kind: "embedder",
  dimensions: 3,
  maximumTokens: 8,
  vocabularySize: 100,
  device: "a device",
};

/** Vectors by text; [3, 4, 0] of token ids. A score is the document's length. */
const VECTORS: Readonly<Record<string, number[]>> = {
  right: [1, 0, 0],
  up: [0, 2, 0],
  between: [3, 3, 0],
  "": [0, 0, 0],
};

function fakeEncoder(model: Partial<EncoderModel> = {}): Encoder & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  const encoded = (values: number[], tokens: number): Encoded => ({ values: Float32Array.from(values), tokens });
  return {
    asked,
    model: { ...MODEL, ...model },
    embed(texts, { truncate, field }) {
      asked.push({ texts, truncate });
      if (texts.includes("long")) {
        return Promise.reject(new UnservableRequestError(`${field} has 9 tokens`, field, "context_length_exceeded"));
      }
      return Promise.resolve(
        texts.map((text) =>
          typeof text === "string" ? encoded(VECTORS[text], text.length) : encoded([3, 4, 0], text.length)
        ),
      );
    },
    score(query, documents, { truncate }) {
      asked.push({ query, documents, truncate });
      return Promise.resolve(documents.map((document) => encoded([document.length], query.length + document.length)));
    },
  };
}

const start = (encoder: Encoder | undefined = fakeEncoder()) =>
  startApp({ tokens: [] }, {}, undefined, undefined, encoder);

Deno.test("openai's client gets vectors of texts and of token ids, in both formats", async () => {
  const { app } = start();
  const drain = new AbortController();
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  try {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
    const model = MODEL.id;
    // Without a format, the client asks for base64 and decodes it.
    const reply = await client.embeddings.create({ model, input: ["right", "between"] });
    assert.deepEqual(reply.data, [
      { object: "embedding", index: 0, embedding: [1, 0, 0] },
      { object: "embedding", index: 1, embedding: [3, 3, 0] },
    ]);
    assert.deepEqual([reply.model, reply.object], [model, "list"]);
    assert.deepEqual(reply.usage, { prompt_tokens: 12, total_tokens: 12 });
    for (const input of ["up", [1, 2, 3], [[1, 2], [3]]]) {
      const { data } = await client.embeddings.create({ model, input, encoding_format: "float" });
      assert.deepEqual(
        data.map(({ embedding }) => embedding),
        input === "up" ? [[0, 2, 0]] : data.map(() => [3, 4, 0]),
      );
    }
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.deepEqual(ids, ["fake-model", model]);
    assert.equal((await client.models.retrieve(model)).id, model);
  } finally {
    drain.abort();
    await server.finished;
  }
});

Deno.test("fewer dimensions are the first, scaled to length 1", async () => {
  const { post } = start();
  const reply = await (await post("/v1/embeddings", { input: [1, 2], dimensions: 2 })).json();
  assert.deepEqual(reply.data[0].embedding, [...Float32Array.of(0.6, 0.8)]);
});

Deno.test("truncate_prompt_tokens reaches the encoder, -1 as its limit", async () => {
  const encoder = fakeEncoder();
  const { post } = start(encoder);
  for (const truncate_prompt_tokens of [undefined, -1, 5, 100]) {
    await post("/v1/embeddings", { input: "up", truncate_prompt_tokens });
  }
  assert.deepEqual(encoder.asked.map((asked) => (asked as { truncate?: number }).truncate), [undefined, 8, 5, 8]);
});

const REFUSED: readonly [path: string, body: unknown, status: number, message: RegExp, param: string | null][] = [
  ["embeddings", {}, 400, /^input is missing; expected a string, an array of strings, /, "input"],
  ["embeddings", { input: "" }, 400, /^input is ""; /, "input"],
  ["embeddings", { input: [] }, 400, /^input is \[\]; /, "input"],
  ["embeddings", { input: ["a", 1] }, 400, /^input is \["a",1\]; /, "input"],
  ["embeddings", { input: [[1], []] }, 400, /^input is \[\[1\],\[\]\]; /, "input"],
  ["embeddings", { input: Array(2049).fill("a") }, 400, /at most 2048 inputs$/, "input"],
  ["embeddings", { input: [100] }, 400, /^input holds token 100; expected ids below 100$/, "input"],
  ["embeddings", { input: "up", dimensions: 4 }, 400, /^dimensions is 4; expected at most 3, /, "dimensions"],
  [
    "embeddings",
    { input: "up", dimensions: 0 },
    400,
    /^dimensions is 0; expected an integer at least 1$/,
    "dimensions",
  ],
  ["embeddings", { input: "up", encoding_format: "int8" }, 400, /^encoding_format is "int8"; /, "encoding_format"],
  [
    "embeddings",
    { input: "up", model: "x" },
    404,
    /^The model 'x' does not exist here; for this, there is 'vectors'$/,
    "model",
  ],
  [
    "embeddings",
    { input: "up", prompt_name: "query" },
    400,
    /^prompt_name is "query"; expected it to be absent: /,
    "prompt_name",
  ],
  [
    "embeddings",
    { input: "up", truncate_prompt_tokens: 2 },
    400,
    /^truncate_prompt_tokens is 2; /,
    "truncate_prompt_tokens",
  ],
  ["embeddings", { input: "long" }, 400, /^input has 9 tokens$/, "input"],
  ["rerank", { documents: ["a"] }, 400, /^query is missing; expected a string$/, "query"],
  ["rerank", { query: "up", documents: [] }, 400, /^documents is \[\]; expected at least one document$/, "documents"],
  [
    "rerank",
    { query: "up", documents: [1] },
    400,
    /^documents\[0\] is 1; expected a string, or an object with text$/,
    "documents[0]",
  ],
  ["rerank", { query: "up", documents: ["a"], top_n: 0 }, 400, /^top_n is 0; /, "top_n"],
  ["rerank", { query: "long", documents: ["up"] }, 400, /^query has 9 tokens$/, "query"],
];

for (const [path, body, status, message, param] of REFUSED) {
  const shown = JSON.stringify(body).slice(0, 50);
  Deno.test(`/v1/${path} refuses ${shown} by name`, async () => {
    const { post } = start();
    const error = await readError(await post(`/v1/${path}`, body));
    assert.match(error.message, message);
    assert.equal(error.status, status);
    assert.equal(error.param, param);
  });
}

Deno.test("without an encoder, and with one of the other kind, the reply says what to do", async () => {
  const { post } = startApp({ tokens: [] });
  const missing = await readError(await post("/v1/rerank", { query: "a", documents: ["b"] }));
  assert.equal(missing.status, 404);
  assert.equal(missing.message, "This server has no model for that: start it with --embedding-model FOLDER");
  const reranker = start(fakeEncoder({ kind: "reranker", dimensions: 1 }));
  const error = await readError(await reranker.post("/v1/embeddings", { input: "up" }));
  assert.equal(error.message, "vectors is a reranker, which makes no vectors: use /v1/rerank");
});

Deno.test("/v1/rerank puts documents in the order of their scores", async () => {
  const encoder = fakeEncoder({ kind: "reranker", dimensions: 1 });
  const { post } = start(encoder);
  const body = { query: "q", documents: ["ab", { text: "abcd" }, "cd", "a"], truncate_prompt_tokens: -1 };
  const reply = await (await post("/v1/rerank", body)).json();
  assert.deepEqual(reply.results, [
    { index: 1, relevance_score: 4 },
    { index: 0, relevance_score: 2 },
    { index: 2, relevance_score: 2 },
    { index: 3, relevance_score: 1 },
  ]);
  assert.deepEqual(reply.usage, { prompt_tokens: 13, total_tokens: 13 });
  assert.deepEqual(encoder.asked, [{ query: "q", documents: ["ab", "abcd", "cd", "a"], truncate: 8 }]);

  const first = await (await post("/v1/rerank", { ...body, top_n: 1, return_documents: true })).json();
  assert.deepEqual(first.results, [{ index: 1, relevance_score: 4, document: { text: "abcd" } }]);
});

Deno.test("a model that makes vectors ranks by their angle", async () => {
  const { post } = start();
  const reply = await (await post("/v1/rerank", { query: "right", documents: ["up", "between", "", "right"] })).json();
  assert.deepEqual(reply.results, [
    { index: 3, relevance_score: 1 },
    { index: 1, relevance_score: Math.fround(Math.SQRT1_2) },
    { index: 0, relevance_score: 0 },
    { index: 2, relevance_score: 0 },
  ]);
  // The query, five letters, is read once.
  assert.equal(reply.usage.prompt_tokens, 5 + 2 + 7 + 0 + 5);
});

Deno.test("an encoder that takes longer than a request may is told to give up", async () => {
  const encoder = fakeEncoder();
  const reasons: string[] = [];
  const untilAborted = (signal: AbortSignal) =>
    new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason.code);
        reject(signal.reason);
      })
    );
  encoder.embed = (_, { signal }) => untilAborted(signal!);
  const { post } = startApp({ tokens: [] }, { requestTimeoutSeconds: 0.02 }, undefined, undefined, encoder);
  for (const [path, body] of [["embeddings", { input: "up" }], ["rerank", { query: "a", documents: ["b"] }]] as const) {
    const { status, code } = await readError(await post(`/v1/${path}`, body));
    assert.deepEqual([status, code], [504, "request_timeout"]);
  }
  assert.deepEqual(reasons, ["request_timeout", "request_timeout"]);
});
