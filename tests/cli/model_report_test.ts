import assert from "node:assert/strict";
import { type ModelFile, ModelFileError, type TensorInfo } from "../../src/formats/model_file.ts";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { formatReport, reportModel } from "../../src/cli/model_report.ts";

const TENSORS: readonly TensorInfo[] = [
  { name: "token_embd.weight", type: "Q8_0", shape: [100, 32], byteLength: 3400 },
  { name: "blk.0.attn_q.weight", type: "Q4_0", shape: [32, 32], byteLength: 576 },
  { name: "output_norm.weight", type: "F32", shape: [32], byteLength: 128 },
];

function fileWith(metadata: Record<string, unknown>): ModelFile {
  return {
    path: "tiny.gguf",
    format: "gguf",
    metadata,
    tensors: new Map(TENSORS.map((tensor) => [tensor.name, tensor])),
    tensorBytes: 4104,
    readTensor: () => assert.fail("a report reads no tensor data"),
    close: () => {},
  };
}

const CONFIG = {
  architecture: "llama",
  layerCount: 3,
  kvHeadCount: 2,
  headSize: 8,
  contextLength: 2000,
} as ModelConfig;

Deno.test("A report counts parameters and bytes by type, largest first", async () => {
  const report = await reportModel(fileWith({}), () => Promise.resolve(CONFIG));
  assert.equal(report.parameters, 100 * 32 + 32 * 32 + 32);
  assert.deepEqual(report.quantisation, [
    { type: "Q8_0", tensors: 1, bytes: 3400 },
    { type: "Q4_0", tensors: 1, bytes: 576 },
    { type: "F32", tensors: 1, bytes: 128 },
  ]);
});

Deno.test("Memory is estimated from the shape: keys and values in f16, in blocks of 16 rows", async () => {
  // One token: 3 layers x (key + value) x 2 heads x 8 elements x 2 bytes.
  const kvPerToken = 192;
  assert.deepEqual((await reportModel(fileWith({}), () => Promise.resolve(CONFIG))).memory, {
    weights: 4104,
    kvPerToken,
    kvFullContext: 2000 * kvPerToken,
    kvAtBudget: 1024 * kvPerToken,
    budget: 1024,
    context: 2000,
  });
});

Deno.test("A context shorter than the budget is all that is kept, in whole blocks", async () => {
  const { memory } = await reportModel(fileWith({}), () => Promise.resolve({ ...CONFIG, contextLength: 100 }));
  assert.equal(memory?.kvFullContext, 112 * 192);
  assert.equal(memory?.kvAtBudget, 112 * 192);
});

Deno.test("Long lists and texts are abbreviated, 64-bit numbers become JSON", async () => {
  const { metadata } = await reportModel(
    fileWith({
      tokens: Array.from({ length: 32000 }, (_, i) => `t${i}`),
      scores: new Float32Array(9),
      short: [1, 2n],
      template: "x".repeat(1000),
      big: 2n ** 63n,
      nested: { list: [10n] },
    }),
    () => Promise.resolve(CONFIG),
  );
  assert.deepEqual(metadata, {
    tokens: ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "... (32,000 in all)"],
    scores: [0, 0, 0, 0, 0, 0, 0, 0, "... (9 in all)"],
    short: [1, 2],
    template: `${"x".repeat(200)}... (1,000 characters)`,
    big: "9223372036854775808",
    nested: { list: [10] },
  });
});

Deno.test("A model that Ebb cannot run is reported all the same, with the reason", async () => {
  const report = await reportModel(
    fileWith({ "general.architecture": "mamba" }),
    () => Promise.reject(new ModelFileError('general.architecture is "mamba"')),
  );
  assert.equal(report.memory, null);
  assert.equal(report.unsupported, 'general.architecture is "mamba"');
  const text = formatReport(report);
  assert.match(text, /Architecture +not supported: general\.architecture is "mamba"/);
  assert.match(text, /token_embd\.weight/);
});

Deno.test("The text shows architecture, quantisation, memory, metadata and every tensor with its shape", async () => {
  const text = formatReport(await reportModel(fileWith({ "llama.block_count": 3 }), () => Promise.resolve(CONFIG)));
  for (
    const pattern of [
      /^tiny\.gguf \(gguf\)$/m,
      /^ {2}Architecture +llama$/m,
      /^ {2}Parameters +4,256$/m,
      /^ {2}Q8_0 +1 tensors +3\.3 KiB$/m,
      /^ {2}KV cache per token +192 B$/m,
      /^ {2}KV cache, 2,000 tokens, every row +375\.0 KiB$/m,
      /^ {2}KV cache, 2,000 tokens, 1,024 rows per layer +192\.0 KiB$/m,
      /^ {2}llama\.block_count +3$/m,
      /^ {2}blk\.0\.attn_q\.weight +Q4_0 +32 x 32 +576 B$/m,
    ]
  ) assert.match(text, pattern);
});
