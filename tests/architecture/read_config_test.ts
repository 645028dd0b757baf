import assert from "node:assert/strict";
import type { ModelConfig, RopeConfig } from "../../src/architecture/config.ts";
import type { ModelFile } from "../../src/formats/model_file.ts";
import { readModelConfig } from "../../src/architecture/read_config.ts";
import { memoryModel } from "../support/memory_model.ts";
import transformers from "../golden/transformers_configs.json" with { type: "json" };

/** The metadata of Meta's Llama 3.2 1B as llama.cpp converts it, without the tokenizer. */
const LLAMA_GGUF = {
  "general.architecture": "llama",
  "general.name": "Llama 3.2 1B Instruct",
  "llama.block_count": 16,
  "llama.context_length": 131072,
  "llama.embedding_length": 2048,
  "llama.feed_forward_length": 8192,
  "llama.attention.head_count": 32,
  "llama.attention.head_count_kv": 8,
  "llama.attention.key_length": 64,
  "llama.attention.value_length": 64,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.rope.freq_base": 500000,
  "llama.rope.dimension_count": 64,
};

/** config.json of Qwen2.5-7B-Instruct. */
const QWEN2_CONFIG = {
  "architectures": ["Qwen2ForCausalLM"],
  "attention_dropout": 0.0,
  "bos_token_id": 151643,
  "eos_token_id": 151645,
  "hidden_act": "silu",
  "hidden_size": 3584,
  "initializer_range": 0.02,
  "intermediate_size": 18944,
  "max_position_embeddings": 32768,
  "max_window_layers": 28,
  "model_type": "qwen2",
  "num_attention_heads": 28,
  "num_hidden_layers": 28,
  "num_key_value_heads": 4,
  "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0,
  "sliding_window": 131072,
  "tie_word_embeddings": false,
  "torch_dtype": "bfloat16",
  "use_cache": true,
  "use_sliding_window": false,
  "vocab_size": 152064,
};

/** A GGUF file with enough tensors to hold any layer count of these tests. */
function gguf(changes: Record<string, unknown> = {}, shapes: Record<string, readonly number[]> = {}): ModelFile {
  const layers = Array.from({ length: 40 }, (_, layer) => [`blk.${layer}.attn_norm.weight`, [2048]]);
  return memoryModel("gguf", { ...LLAMA_GGUF, ...changes }, {
    ...Object.fromEntries(layers),
    "token_embd.weight": [128256, 2048],
    ...shapes,
  });
}

function huggingFace(changes: Record<string, unknown> = {}): ModelFile {
  return memoryModel("safetensors", { ...QWEN2_CONFIG, ...changes }, {
    ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`tensor ${i}`, [1]])),
  });
}

async function assertRefused(file: ModelFile, message: RegExp): Promise<void> {
  await assert.rejects(readModelConfig(file), (error: Error) => {
    assert.equal(error.name, "ModelFileError");
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("readModelConfig() reads a Llama from GGUF", async () => {
  assert.deepEqual(await readModelConfig(gguf()), {
    architecture: "llama",
    name: "Llama 3.2 1B Instruct",
    layerCount: 16,
    hiddenSize: 2048,
    feedForwardSize: 8192,
    queryHeadCount: 32,
    kvHeadCount: 8,
    headSize: 64,
    vocabularySize: 128256,
    contextLength: 131072,
    rmsNormEpsilon: 1e-5,
    rope: { base: 500000, dimensions: 64, pairing: "adjacent", scaling: { type: "none" } },
    attentionBias: false,
    queryKeyNorm: false,
    tiedEmbeddings: true,
  });
});

Deno.test("readModelConfig() reads a Qwen2 from config.json", async () => {
  assert.deepEqual(await readModelConfig(huggingFace()), {
    architecture: "qwen2",
    name: "test",
    layerCount: 28,
    hiddenSize: 3584,
    feedForwardSize: 18944,
    queryHeadCount: 28,
    kvHeadCount: 4,
    headSize: 128,
    vocabularySize: 152064,
    contextLength: 32768,
    rmsNormEpsilon: 1e-6,
    rope: { base: 1000000, dimensions: 128, pairing: "halves", scaling: { type: "none" } },
    attentionBias: true,
    queryKeyNorm: false,
    tiedEmbeddings: false,
  });
});

Deno.test("readModelConfig() takes what a GGUF file may leave out from the rest of it", async () => {
  const file = gguf(
    {
      "general.name": null,
      "llama.attention.head_count_kv": null,
      "llama.attention.key_length": null,
      "llama.attention.value_length": null,
      "llama.rope.freq_base": null,
      "llama.rope.dimension_count": null,
    },
    { "output.weight": [128256, 2048], "blk.0.attn_q.bias": [2048] },
  );
  const config = await readModelConfig(file);
  assert.equal(config.name, "test");
  assert.equal(config.kvHeadCount, 32);
  assert.equal(config.headSize, 64);
  assert.equal(config.rope.base, 10000);
  assert.equal(config.rope.dimensions, 64);
  assert.equal(config.tiedEmbeddings, false);
  assert.equal(config.attentionBias, true);
});

Deno.test("readModelConfig() reads GGUF's rope scaling", async () => {
  const scaling = async (changes: Record<string, unknown>) => (await readModelConfig(gguf(changes))).rope.scaling;
  assert.deepEqual(await scaling({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 }), {
    type: "linear",
    factor: 4,
  });
  assert.deepEqual(await scaling({ "llama.rope.scale_linear": 2 }), { type: "linear", factor: 2 });
  assert.deepEqual(await scaling({ "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 2 }), {
    type: "none",
  });
  const yarn = {
    "llama.rope.scaling.type": "yarn",
    "llama.rope.scaling.factor": 4,
    "llama.rope.scaling.original_context_length": 32768,
  };
  assert.deepEqual(await scaling(yarn), {
    type: "yarn",
    factor: 4,
    originalContext: 32768,
    attentionFactor: 0.1 * Math.log(4) + 1,
    betaFast: 32,
    betaSlow: 1,
  });
  assert.deepEqual(await scaling({ ...yarn, "llama.rope.scaling.attn_factor": 0.5 }), {
    type: "yarn",
    factor: 4,
    originalContext: 32768,
    attentionFactor: 0.5 * (0.1 * Math.log(4) + 1),
    betaFast: 32,
    betaSlow: 1,
  });
});

Deno.test("readModelConfig() reads the divisors of Llama 3.1's frequencies from their tensor", async () => {
  const factors = Float32Array.from({ length: 32 }, (_, i) => i < 16 ? 1 : 32);
  const file = gguf({}, { "rope_freqs.weight": [32] });
  const withFactors = { ...file, readTensor: () => Promise.resolve(new Uint8Array(factors.buffer)) };
  assert.deepEqual((await readModelConfig(withFactors)).rope.scaling, { type: "factors", factors });
  await assertRefused(file, /element 0 of tensor "rope_freqs.weight" is 0: expected a positive number/);
  await assertRefused(
    gguf({}, { "rope_freqs.weight": [64] }),
    /tensor "rope_freqs.weight" is F32 \[64\]: expected F32 \[32\]/,
  );
});

Deno.test("readModelConfig() reads every rope scaling of config.json, under its old and new names", async () => {
  const scaling = async (changes: Record<string, unknown>) =>
    (await readModelConfig(huggingFace(changes))).rope.scaling;
  assert.deepEqual(await scaling({ rope_scaling: null }), { type: "none" });
  assert.deepEqual(await scaling({ rope_scaling: { rope_type: "default" } }), { type: "none" });
  assert.deepEqual(await scaling({ rope_scaling: { type: "linear", factor: 2.5 } }), { type: "linear", factor: 2.5 });
  assert.deepEqual(await scaling({ rope_scaling: { type: "dynamic", factor: 2.0 } }), {
    type: "dynamic",
    factor: 2,
    originalContext: 32768,
  });
  const llama3 = { factor: 32.0, high_freq_factor: 4.0, low_freq_factor: 1.0, original_max_position_embeddings: 8192 };
  assert.deepEqual(await scaling({ rope_scaling: { ...llama3, rope_type: "llama3" } }), {
    type: "llama3",
    factor: 32,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 8192,
  });
  const yarn = { factor: 4.0, original_max_position_embeddings: 16384, type: "yarn" };
  assert.deepEqual(await scaling({ rope_scaling: yarn }), {
    type: "yarn",
    factor: 4,
    originalContext: 16384,
    attentionFactor: 0.1 * Math.log(4) + 1,
    betaFast: 32,
    betaSlow: 1,
  });
  assert.deepEqual(
    await scaling({ rope_scaling: { ...yarn, attention_factor: 1.5, beta_fast: 16, beta_slow: 2 } }),
    { type: "yarn", factor: 4, originalContext: 16384, attentionFactor: 1.5, betaFast: 16, betaSlow: 2 },
  );
  const parameters = { rope_theta: 5000, rope_type: "linear", factor: 3 };
  const { rope } = await readModelConfig(huggingFace({ rope_parameters: parameters, rope_theta: null }));
  assert.equal(rope.base, 5000);
  assert.deepEqual(rope.scaling, { type: "linear", factor: 3 });
});

/** What tools/golden/transformers_configs.py asks transformers to write. */
const TRANSFORMERS: Readonly<Record<string, Partial<ModelConfig>>> = {
  "llama": { architecture: "llama", headSize: 16, tiedEmbeddings: false, rope: plainRope(10000, 16) },
  "llama3, tied": {
    headSize: 32,
    tiedEmbeddings: true,
    rope: {
      ...plainRope(500000, 32),
      scaling: { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
    },
  },
  "llama yarn": {
    // The stretched one.
    contextLength: 1024,
    rope: {
      ...plainRope(10000, 16),
      scaling: {
        type: "yarn",
        factor: 4,
        originalContext: 256,
        attentionFactor: 0.1 * Math.log(4) + 1,
        betaFast: 32,
        betaSlow: 1,
      },
    },
  },
  "llama linear": { rope: { ...plainRope(20000, 16), scaling: { type: "linear", factor: 4 } } },
  "mistral": { architecture: "llama", attentionBias: false, contextLength: 512 },
  "mistral with a window": { contextLength: 128 },
  "qwen2": { architecture: "qwen2", attentionBias: true, headSize: 16, contextLength: 512 },
  "qwen3, tied": { architecture: "qwen3", queryKeyNorm: true, headSize: 32, tiedEmbeddings: true },
};

function plainRope(base: number, dimensions: number): RopeConfig {
  return { base, dimensions, pairing: "halves", scaling: { type: "none" } };
}

Deno.test("readModelConfig() reads config.json as transformers 5 writes it", async () => {
  assert.deepEqual(Object.keys(transformers.configs), Object.keys(TRANSFORMERS));
  for (const [name, config] of Object.entries(transformers.configs)) {
    const file = memoryModel("safetensors", config, { a: [1], b: [1], c: [1] });
    const expected = {
      layerCount: 3,
      hiddenSize: 64,
      feedForwardSize: 112,
      queryHeadCount: 4,
      kvHeadCount: 2,
      vocabularySize: 320,
      rmsNormEpsilon: 1e-6,
      ...TRANSFORMERS[name],
    };
    const read = await readModelConfig(file);
    assert.deepEqual({ ...read, ...expected }, read, name);
  }
});

Deno.test("readModelConfig() takes YaRN's context to be the stretched one", async () => {
  const yarn = { factor: 4.0, original_max_position_embeddings: 32768, type: "yarn" };
  assert.equal((await readModelConfig(huggingFace({ rope_scaling: yarn }))).contextLength, 131072);
});

Deno.test("readModelConfig() serves a model with a sliding window up to the window's length", async () => {
  const mistral = { model_type: "mistral", use_sliding_window: null, sliding_window: 4096 };
  assert.equal((await readModelConfig(huggingFace(mistral))).contextLength, 4096);
  assert.equal((await readModelConfig(huggingFace({ ...mistral, sliding_window: null }))).contextLength, 32768);
  assert.equal(
    (await readModelConfig(huggingFace({ use_sliding_window: true, sliding_window: 1000 }))).contextLength,
    1000,
  );
  assert.equal((await readModelConfig(gguf({ "llama.attention.sliding_window": 4096 }))).contextLength, 4096);
});

Deno.test("readModelConfig() rotates part of a head where the files say so", async () => {
  assert.equal((await readModelConfig(gguf({ "llama.rope.dimension_count": 32 }))).rope.dimensions, 32);
  assert.equal((await readModelConfig(huggingFace({ partial_rotary_factor: 0.25 }))).rope.dimensions, 32);
});

Deno.test("readModelConfig() reads the architecture-specific fields of config.json", async () => {
  const qwen3 = await readModelConfig(huggingFace({ model_type: "qwen3", head_dim: 64, attention_bias: false }));
  assert.deepEqual([qwen3.architecture, qwen3.queryKeyNorm, qwen3.attentionBias, qwen3.headSize], [
    "qwen3",
    true,
    false,
    64,
  ]);
  const internlm2 = await readModelConfig(huggingFace({ model_type: "internlm2", bias: false }));
  assert.deepEqual([internlm2.architecture, internlm2.attentionBias], ["internlm2", false]);
  const llama = await readModelConfig(huggingFace({ model_type: "llama", attention_bias: true }));
  assert.deepEqual([llama.architecture, llama.attentionBias], ["llama", true]);
});

Deno.test("readModelConfig() names the architecture that it does not know", async () => {
  await assertRefused(
    gguf({ "general.architecture": "mamba" }),
    /"general.architecture" is "mamba", which Ebb does not support: expected one of llama, qwen2, qwen3, internlm2/,
  );
  // A name that every JavaScript object has.
  await assertRefused(gguf({ "general.architecture": "constructor" }), /"constructor", which Ebb does not support/);
  await assertRefused(
    huggingFace({ model_type: "gpt_neox" }),
    /"model_type" is "gpt_neox", which Ebb does not support/,
  );
});

Deno.test("readModelConfig() names the field that is missing, of the wrong type, or out of range", async () => {
  await assertRefused(gguf({ "llama.block_count": null }), /has no "llama.block_count": expected a whole number/);
  await assertRefused(gguf({ "llama.block_count": 0 }), /"llama.block_count" is 0: expected a whole number/);
  await assertRefused(gguf({ "llama.embedding_length": "wide" }), /"llama.embedding_length" is "wide": expected/);
  await assertRefused(gguf({ "llama.attention.head_count": Uint32Array.of(8, 8) }), /head_count" is a list: expected/);
  await assertRefused(gguf({ "llama.rope.freq_base": NaN }), /"llama.rope.freq_base" is NaN: expected a positive/);
  await assertRefused(huggingFace({ hidden_size: 3584.5 }), /"hidden_size" is 3584.5: expected a whole number/);
  await assertRefused(huggingFace({ rope_scaling: "yarn" }), /"rope_scaling" is "yarn": expected a dictionary/);
  await assertRefused(huggingFace({ rope_scaling: { type: "yarn" } }), /has no "rope_scaling.factor": expected/);
  await assertRefused(gguf({ "llama.block_count": 1e9 }), /number of layers is 1000000000: expected no more than the/);
});

Deno.test("readModelConfig() refuses by name what it would compute wrongly", async () => {
  const inGguf: [string, unknown, RegExp][] = [
    ["expert_count", 8, /mixture of experts/],
    ["attn_logit_softcapping", 50, /soft-capped attention/],
    ["attention.scale", 0.1, /scale of its own/],
    ["attention.value_length", 32, /expected the size of the keys, 64/],
    ["rope.scaling.type", "longrope", /expected none, linear or yarn/],
    ["rope.scaling.attn_factor", 2, /expected 1 with rope.scaling.type "linear"/],
  ];
  for (const [field, value, reason] of inGguf) {
    const file = gguf({ [`llama.${field}`]: value });
    await assertRefused(file, new RegExp(`"llama.${field.replaceAll(".", "\\.")}" is `));
    await assertRefused(file, reason);
  }
  const inConfig: [string, unknown, RegExp][] = [
    ["hidden_act", "gelu", /another activation than SiLU/],
    ["mlp_bias", true, /a bias in the feed-forward layer/],
    ["num_local_experts", 8, /mixture of experts/],
    ["quantization_config", { quant_method: "awq" }, /weights quantised for another engine/],
  ];
  // What multiplies by 1 does nothing.
  for (const field of ["embedding_multiplier", "residual_multiplier", "logits_scaling"]) {
    await readModelConfig(huggingFace({ [field]: 1 }));
    await assertRefused(huggingFace({ [field]: 2 }), new RegExp(`"${field}" is 2`));
  }
  for (const [field, value, reason] of inConfig) {
    await assertRefused(huggingFace({ [field]: value }), new RegExp(`"${field}" is `));
    await assertRefused(huggingFace({ [field]: value }), reason);
  }
  await assertRefused(
    huggingFace({ rope_scaling: { rope_type: "longrope", factor: 4 } }),
    /"rope_scaling.rope_type" is "longrope": expected default, linear, dynamic, llama3 or yarn/,
  );
  await assertRefused(
    huggingFace({ rope_parameters: { full_attention: { rope_type: "default" } } }),
    /"rope_parameters.full_attention" is a dictionary: expected one rotation for all layers/,
  );
});

Deno.test("readModelConfig() refuses head sizes and counts that the kernels do not have", async () => {
  const heads = (size: number) => gguf({ "llama.attention.key_length": size, "llama.attention.value_length": size });
  await assertRefused(heads(260), /size of a head is 260: expected a multiple of 8 up to 256/);
  await assertRefused(heads(20), /size of a head is 20: expected a multiple of 8 up to 256/);
  await assertRefused(
    gguf({ "llama.attention.head_count_kv": 5 }),
    /query heads is 32: expected a multiple of the 5 KV/,
  );
  await assertRefused(gguf({ "llama.rope.dimension_count": 65 }), /rotated dimensions is 65: expected an even number/);
  await assertRefused(gguf({ "llama.rope.dimension_count": 128 }), /rotated dimensions is 128: expected an even/);
});

Deno.test("readModelConfig() refuses a tokenizer with more tokens than the embedding has rows", async () => {
  const file = gguf({ "tokenizer.ggml.tokens": ["a", "b", "c"] }, { "token_embd.weight": [2, 2048] });
  await assertRefused(file, /"tokenizer.ggml.tokens" has 3 tokens, but tensor "token_embd.weight" only 2 rows/);
});

Deno.test("Sizes that are given layer by layer are read where all are the same", async () => {
  const layers = (value: number) => new Uint32Array(16).fill(value);
  const config = await readModelConfig(gguf({
    "llama.attention.head_count_kv": layers(8),
    "llama.feed_forward_length": layers(8192),
  }));
  assert.equal(config.kvHeadCount, 8);
  assert.equal(config.feedForwardSize, 8192);
  const mixed = layers(8);
  mixed[3] = 4;
  await assert.rejects(readModelConfig(gguf({ "llama.attention.head_count_kv": mixed })), {
    name: "ModelFileError",
    message: /"llama\.attention\.head_count_kv" is a list: expected the same number for all layers/,
  });
  await assert.rejects(readModelConfig(gguf({ "llama.feed_forward_length": layers(0) })), {
    message: /"llama\.feed_forward_length" is a list: expected a whole number of at least 1/,
  });
});
