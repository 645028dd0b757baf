import assert from "node:assert/strict";
import { modelTensors, type TensorSlice } from "../../src/architecture/architectures.ts";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { memoryModel } from "../support/memory_model.ts";

/** Sizes that are all different, so that no shape can be taken for another. */
const CONFIG: ModelConfig = {
  architecture: "llama",
  name: "test",
  layerCount: 2,
  hiddenSize: 48,
  feedForwardSize: 80,
  queryHeadCount: 4,
  kvHeadCount: 2,
  headSize: 8,
  vocabularySize: 100,
  contextLength: 64,
  rmsNormEpsilon: 1e-5,
  rope: { base: 10000, dimensions: 8, pairing: "adjacent", scaling: { type: "none" } },
  attentionBias: false,
  queryKeyNorm: false,
  tiedEmbeddings: false,
};

type Shapes = Record<string, readonly number[]>;

/** The same tensors in every layer. */
function inLayers(prefix: string, layer: Shapes): Shapes {
  return Object.fromEntries([0, 1].flatMap((i) => Object.entries(layer).map(([k, v]) => [`${prefix}.${i}.${k}`, v])));
}

/** As `llama-gguf` lists the tensors of a Llama. */
const LLAMA_GGUF: Shapes = {
  "token_embd.weight": [100, 48],
  ...inLayers("blk", {
    "attn_norm.weight": [48],
    "attn_q.weight": [32, 48],
    "attn_k.weight": [16, 48],
    "attn_v.weight": [16, 48],
    "attn_output.weight": [48, 32],
    "ffn_norm.weight": [48],
    "ffn_gate.weight": [80, 48],
    "ffn_up.weight": [80, 48],
    "ffn_down.weight": [48, 80],
  }),
  "output_norm.weight": [48],
  "output.weight": [100, 48],
};

/** As the index of TinyLlama-1.1B lists them. */
const LLAMA_SAFETENSORS: Shapes = {
  "model.embed_tokens.weight": [100, 48],
  ...inLayers("model.layers", {
    "input_layernorm.weight": [48],
    "self_attn.q_proj.weight": [32, 48],
    "self_attn.k_proj.weight": [16, 48],
    "self_attn.v_proj.weight": [16, 48],
    "self_attn.o_proj.weight": [48, 32],
    "post_attention_layernorm.weight": [48],
    "mlp.gate_proj.weight": [80, 48],
    "mlp.up_proj.weight": [80, 48],
    "mlp.down_proj.weight": [48, 80],
  }),
  "model.norm.weight": [48],
  "lm_head.weight": [100, 48],
};

/** As the index of internlm2-chat-7b lists them. */
const INTERNLM2_SAFETENSORS: Shapes = {
  "model.tok_embeddings.weight": [100, 48],
  ...inLayers("model.layers", {
    "attention_norm.weight": [48],
    "attention.wqkv.weight": [64, 48],
    "attention.wo.weight": [48, 32],
    "ffn_norm.weight": [48],
    "feed_forward.w1.weight": [80, 48],
    "feed_forward.w2.weight": [48, 80],
    "feed_forward.w3.weight": [80, 48],
  }),
  "model.norm.weight": [48],
  "output.weight": [100, 48],
};

const QUERY_KEY_VALUE_BIAS = inLayers("model.layers", {
  "self_attn.q_proj.bias": [32],
  "self_attn.k_proj.bias": [16],
  "self_attn.v_proj.bias": [16],
});

const QUERY_KEY_NORM = inLayers("model.layers", { "self_attn.q_norm.weight": [8], "self_attn.k_norm.weight": [8] });

function locate(format: "gguf" | "safetensors", shapes: Shapes, changes: Partial<ModelConfig> = {}) {
  return modelTensors(memoryModel(format, {}, shapes), { ...CONFIG, ...changes });
}

function whole(name: string, shape: readonly number[]): TensorSlice {
  return { name, shape, rows: [[0, shape[0]]] };
}

Deno.test("modelTensors() finds a Llama's weights in GGUF", () => {
  const tensors = locate("gguf", LLAMA_GGUF);
  assert.deepEqual(tensors.embedding, whole("token_embd.weight", [100, 48]));
  assert.deepEqual(tensors.outputNorm, whole("output_norm.weight", [48]));
  assert.deepEqual(tensors.output, whole("output.weight", [100, 48]));
  assert.equal(tensors.layers.length, 2);
  assert.deepEqual(tensors.layers[1], {
    attentionNorm: whole("blk.1.attn_norm.weight", [48]),
    query: whole("blk.1.attn_q.weight", [32, 48]),
    key: whole("blk.1.attn_k.weight", [16, 48]),
    value: whole("blk.1.attn_v.weight", [16, 48]),
    output: whole("blk.1.attn_output.weight", [48, 32]),
    feedForwardNorm: whole("blk.1.ffn_norm.weight", [48]),
    gate: whole("blk.1.ffn_gate.weight", [80, 48]),
    up: whole("blk.1.ffn_up.weight", [80, 48]),
    down: whole("blk.1.ffn_down.weight", [48, 80]),
  });
});

Deno.test("modelTensors() finds a Llama's weights in safetensors", () => {
  const tensors = locate("safetensors", LLAMA_SAFETENSORS);
  assert.equal(tensors.embedding.name, "model.embed_tokens.weight");
  assert.equal(tensors.output.name, "lm_head.weight");
  assert.deepEqual(Object.entries(tensors.layers[0]).map(([weight, { name }]) => [weight, name]), [
    ["attentionNorm", "model.layers.0.input_layernorm.weight"],
    ["query", "model.layers.0.self_attn.q_proj.weight"],
    ["key", "model.layers.0.self_attn.k_proj.weight"],
    ["value", "model.layers.0.self_attn.v_proj.weight"],
    ["output", "model.layers.0.self_attn.o_proj.weight"],
    ["feedForwardNorm", "model.layers.0.post_attention_layernorm.weight"],
    ["gate", "model.layers.0.mlp.gate_proj.weight"],
    ["up", "model.layers.0.mlp.up_proj.weight"],
    ["down", "model.layers.0.mlp.down_proj.weight"],
  ]);
});

Deno.test("modelTensors() cuts InternLM2's packed projection into the rows of queries, keys and values", () => {
  const { layers } = locate("safetensors", INTERNLM2_SAFETENSORS, { architecture: "internlm2" });
  // Each of the 2 groups has 2 query heads, a key and a value, of 8 rows each.
  const name = "model.layers.0.attention.wqkv.weight";
  assert.deepEqual(layers[0].query, { name, shape: [32, 48], rows: [[0, 16], [32, 48]] });
  assert.deepEqual(layers[0].key, { name, shape: [16, 48], rows: [[16, 24], [48, 56]] });
  assert.deepEqual(layers[0].value, { name, shape: [16, 48], rows: [[24, 32], [56, 64]] });
  assert.equal(layers[0].gate.name, "model.layers.0.feed_forward.w1.weight");
  assert.equal(layers[0].up.name, "model.layers.0.feed_forward.w3.weight");
  assert.equal(layers[0].down.name, "model.layers.0.feed_forward.w2.weight");
});

Deno.test("modelTensors() finds biases and norms of queries and keys where the model has them", () => {
  const biased = locate("safetensors", { ...LLAMA_SAFETENSORS, ...QUERY_KEY_VALUE_BIAS }, {
    architecture: "qwen2",
    attentionBias: true,
  });
  assert.deepEqual(biased.layers[0].keyBias, whole("model.layers.0.self_attn.k_proj.bias", [16]));
  assert.equal(biased.layers[0].outputBias, undefined);

  const normed = locate("safetensors", { ...LLAMA_SAFETENSORS, ...QUERY_KEY_NORM }, {
    architecture: "qwen3",
    queryKeyNorm: true,
  });
  assert.deepEqual(normed.layers[1].queryNorm, whole("model.layers.1.self_attn.q_norm.weight", [8]));

  const outputBias = inLayers("blk", { "attn_output.bias": [48] });
  const { layers } = locate("gguf", { ...LLAMA_GGUF, ...outputBias });
  assert.deepEqual(layers[0].outputBias, whole("blk.0.attn_output.bias", [48]));
});

Deno.test("modelTensors() takes the embedding for the output where the two are tied", () => {
  const { "output.weight": _, ...tied } = LLAMA_GGUF;
  const tensors = locate("gguf", tied, { tiedEmbeddings: true });
  assert.deepEqual(tensors.output, tensors.embedding);
  // Some files hold a copy all the same.
  assert.equal(
    locate("safetensors", LLAMA_SAFETENSORS, { tiedEmbeddings: true }).output.name,
    "model.embed_tokens.weight",
  );
});

Deno.test("modelTensors() names the tensor that is missing or has the wrong shape", () => {
  const { "blk.1.ffn_up.weight": _, ...missing } = LLAMA_GGUF;
  assert.throws(() => locate("gguf", missing), {
    name: "ModelFileError",
    message: 'models/test.gguf has no tensor "blk.1.ffn_up.weight": expected one of shape [80, 48]',
  });
  assert.throws(() => locate("gguf", { ...LLAMA_GGUF, "blk.0.attn_k.weight": [32, 48] }), {
    name: "ModelFileError",
    message: 'models/test.gguf: tensor "blk.0.attn_k.weight" has the shape [32, 48]: expected [16, 48]',
  });
  assert.throws(() => locate("gguf", { ...LLAMA_GGUF, "output_norm.weight": [1, 48] }), /\[1, 48\]: expected \[48\]/);
  assert.throws(() => locate("safetensors", LLAMA_SAFETENSORS, { architecture: "qwen2", attentionBias: true }), {
    name: "ModelFileError",
    message: 'models/test.gguf has no tensor "model.layers.0.self_attn.q_proj.bias": expected one of shape [32]',
  });
});

Deno.test("modelTensors() refuses a tensor that the architecture has no place for", () => {
  for (const name of ["blk.0.attn_q_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.2.attn_norm.weight"]) {
    assert.throws(
      () => locate("gguf", { ...LLAMA_GGUF, [name]: [48] }),
      (error: Error) => error.name === "ModelFileError" && error.message.includes(`tensor "${name}" has no place in`),
    );
  }
});

Deno.test("modelTensors() passes over tables of rotations", () => {
  locate("gguf", { ...LLAMA_GGUF, "rope_freqs.weight": [4] });
  locate("safetensors", { ...LLAMA_SAFETENSORS, "model.layers.0.self_attn.rotary_emb.inv_freq": [4] });
});
