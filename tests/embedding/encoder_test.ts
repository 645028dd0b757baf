import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { UnservableRequestError } from "../../src/contract/errors.ts";
import { EncoderClient } from "../../src/embedding/client.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { encoderFolder, golden } from "../support/encoders.ts";
import { withDirectory } from "../support/files.ts";

/** Runs an action on an encoder, with files put beside its own or in their place. */
async function withEncoder<Result>(
  name: "embedder" | "reranker",
  action: (encoder: EncoderClient) => Promise<Result>,
  files: Readonly<Record<string, string>> = {},
  device: "gpu" | "cpu" = "cpu",
): Promise<Result> {
  return await withDirectory({}, async (directory) => {
    await cp(encoderFolder(name), directory, { recursive: true });
    for (const [path, content] of Object.entries(files)) {
      await Deno.mkdir(join(directory, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(directory, path), content);
    }
    const encoder = await EncoderClient.start(directory, { id: "golden", device });
    try {
      return await action(encoder);
    } finally {
      encoder.close();
    }
  });
}

/** Both compute in 32 bits, in different orders. */
function assertNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  const distance = Math.max(...expected.map((value, i) => Math.abs(value - actual[i])));
  assert.ok(distance < 2e-6, `they differ by ${distance}`);
}

const FIELD = { field: "input" };

Deno.test("vectors are those of Python's onnxruntime, alone and in a batch with padding", () =>
  withEncoder("embedder", async (encoder) => {
    assert.deepEqual(encoder.model, {
      id: "golden",
      kind: "embedder",
      dimensions: 16,
      maximumTokens: 24,
      vocabularySize: 77,
      device: "the CPU (onnxruntime, 1 thread)",
    });
    const together = await encoder.embed(golden.texts.map(({ text }) => text), FIELD);
    const ids = await encoder.embed(golden.texts.map(({ ids }) => ids), FIELD);
    for (const [at, { text, mean, ids: { length } }] of golden.texts.entries()) {
      assertNear(together[at].values, mean);
      assertNear(ids[at].values, mean);
      assertNear((await encoder.embed([text], FIELD))[0].values, mean);
      assert.equal(together[at].tokens, length);
    }
  }));

Deno.test("on WebGPU, vectors are those of Python's onnxruntime too", async () => {
  const compare = async (encoder: EncoderClient) => {
    const adapter = await navigator.gpu.requestAdapter();
    assert.equal(encoder.model.device, adapter!.info.description || adapter!.info.device);
    const together = await encoder.embed(golden.texts.map(({ text }) => text), FIELD);
    for (const [at, { mean, ids: { length } }] of golden.texts.entries()) {
      assertNear(together[at].values, mean);
      assert.equal(together[at].tokens, length);
    }
  };
  await withEncoder("embedder", compare, {}, "gpu");
});

Deno.test("the folder's modules decide how tokens are pooled, and whether vectors are scaled", () =>
  withEncoder("embedder", async (encoder) => {
    const vectors = await encoder.embed(golden.texts.map(({ text }) => text), FIELD);
    for (const [at, { lasttoken }] of golden.texts.entries()) assertNear(vectors[at].values, lasttoken);
  }, {
    "modules.json": JSON.stringify([
      { idx: 0, path: "", type: "sentence_transformers.models.Transformer" },
      { idx: 1, path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    ]),
    "1_Pooling/config.json": '{"word_embedding_dimension": 16, "pooling_mode_lasttoken": true}',
  }));

Deno.test("a text that is too long is refused, unless it is to be truncated, as Python truncates it", () =>
  withEncoder("embedder", async (encoder) => {
    const long = `${golden.texts[0].text} `.repeat(5);
    await assert.rejects(encoder.embed(["a", long], FIELD), (error: UnservableRequestError) => {
      assert.match(
        error.message,
        /^input\[1\] has 32 tokens, and the model reads at most 24: shorten it, or set truncate/,
      );
      return error.code === "context_length_exceeded" && error.field === "input";
    });
    const { text, tokens, mean } = golden.truncated;
    const [cut] = await encoder.embed([text], { ...FIELD, truncate: tokens });
    assert.equal(cut.tokens, tokens);
    assertNear(cut.values, mean);
  }));

Deno.test("pairs are scored as Python scores them, by a sigmoid or as the folder says", async () => {
  const documents = golden.pairs.map(({ document }) => document);
  const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));
  await withEncoder("reranker", async (encoder) => {
    assert.equal(encoder.model.kind, "reranker");
    const scores = await encoder.score(golden.query, documents, { field: "documents" });
    assertNear(scores.map(({ values }) => values[0]), golden.pairs.map(({ logit }) => sigmoid(logit)));
    assert.deepEqual(scores.map(({ tokens }) => tokens), golden.pairs.map(({ ids }) => ids.length));
  });
  await withEncoder("reranker", async (encoder) => {
    const scores = await encoder.score(golden.query, documents, { field: "documents" });
    assertNear(scores.map(({ values }) => values[0]), golden.pairs.map(({ logit }) => logit));
  }, { "config.json": '{"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}' });
});

Deno.test("what a client no longer waits for is dropped, others are answered, and closing rejects what waits", () =>
  withEncoder("embedder", async (encoder) => {
    const left = new AbortController();
    const many = encoder.embed(Array(500).fill("the cat"), { ...FIELD, signal: left.signal });
    const other = encoder.embed([golden.texts[0].text], FIELD);
    left.abort(new Error("gone"));
    await assert.rejects(many, /gone/);
    assertNear((await other)[0].values, golden.texts[0].mean);

    const waiting = encoder.embed(["the cat"], FIELD);
    encoder.close();
    await assert.rejects(waiting, /the encoder was closed/);
    await assert.rejects(encoder.embed(["a"], FIELD), /the encoder was closed/);
  }));

const POOLING = '[{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]';

/** Folders that are refused, by the files put into them; nothing stands for a missing file. */
const REFUSED: readonly [files: Record<string, string | undefined>, message: RegExp][] = [
  [{ "tokenizer.json": undefined }, /has no tokenizer\.json: expected a folder with model\.onnx and tokenizer\.json$/],
  [{ "model.onnx": undefined }, /has none of model\.onnx, onnx\/model\.onnx, .*: expected an encoder in ONNX$/],
  [{ "model.onnx": "no model" }, /model\.onnx cannot be run: /],
  [{ "modules.json": "{" }, /modules\.json cannot be read: /],
  [{ "modules.json": "[]" }, /modules\.json has no Pooling: expected one$/],
  [{ "modules.json": POOLING }, /1_Pooling\/config\.json does not exist: modules\.json names it$/],
  [
    { "modules.json": POOLING, "1_Pooling/config.json": '{"pooling_mode_weightedmean_tokens": true}' },
    /sets pooling_mode_weightedmean_tokens: expected one of pooling_mode_mean_tokens, /,
  ],
  [
    { "modules.json": '[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]' },
    /has a module sentence_transformers\.models\.Dense: expected Transformer, Pooling, Normalize$/,
  ],
  [{ "config_sentence_transformers.json": '{"default_prompt_name": "query"}' }, /default_prompt_name is "query": /],
];

for (const [files, message] of REFUSED) {
  Deno.test(`a folder is refused by name: ${message.source.slice(0, 60)}`, () =>
    withDirectory({}, async (directory) => {
      await cp(encoderFolder("embedder"), directory, { recursive: true });
      for (const [path, content] of Object.entries(files)) {
        if (content === undefined) await Deno.remove(join(directory, path));
        else {
          await Deno.mkdir(join(directory, path, ".."), { recursive: true });
          await Deno.writeTextFile(join(directory, path), content);
        }
      }
      await assert.rejects(EncoderClient.start(directory, { device: "cpu" }), (error: unknown) => {
        assert.ok(error instanceof ModelFileError, String(error));
        assert.match(error.message, message);
        return true;
      });
    }));
}
