import assert from "node:assert/strict";
import { readSamplingDefaults } from "../../src/architecture/sampling_defaults.ts";
import { memoryModel } from "../support/memory_model.ts";
import { withDirectory } from "../support/files.ts";

const NEUTRAL = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

const gguf = (metadata: Record<string, unknown>) => readSamplingDefaults(memoryModel("gguf", metadata, {}));

/** With a `generation_config.json`, unless it is undefined. */
const huggingFace = (generationConfig?: string) =>
  withDirectory(
    generationConfig === undefined ? {} : { "generation_config.json": generationConfig },
    (path) => readSamplingDefaults({ ...memoryModel("safetensors", {}, {}), path }),
  );

Deno.test("A model that recommends nothing leaves its tokens as they are", async () => {
  assert.deepEqual(await gguf({ "general.architecture": "llama" }), NEUTRAL);
  assert.deepEqual(await huggingFace(), NEUTRAL);
  assert.deepEqual(await huggingFace('{"eos_token_id": 2, "temperature": null}'), NEUTRAL);
});

Deno.test("A GGUF file recommends in its metadata", async () => {
  assert.deepEqual(
    await gguf({
      "general.sampling.temp": 0.6,
      "general.sampling.top_k": 20,
      "general.sampling.top_p": 0.95,
      "general.sampling.min_p": 0.01,
      "general.sampling.penalty_repeat": 1.05,
    }),
    { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.01, repetitionPenalty: 1.05 },
  );
  assert.deepEqual(await gguf({ "general.sampling.top_k": -1, "general.sampling.temp": 0 }), {
    ...NEUTRAL,
    temperature: 0,
  });
});

Deno.test("A safetensors model recommends in its generation_config.json", async () => {
  // Qwen2.5-7B-Instruct's.
  const config = {
    bos_token_id: 151643,
    pad_token_id: 151643,
    do_sample: true,
    eos_token_id: [151645, 151643],
    repetition_penalty: 1.05,
    temperature: 0.7,
    top_p: 0.8,
    top_k: 20,
    transformers_version: "4.37.0",
  };
  assert.deepEqual(await huggingFace(JSON.stringify(config)), {
    temperature: 0.7,
    topK: 20,
    topP: 0.8,
    minP: 0,
    repetitionPenalty: 1.05,
  });
});

Deno.test("A recommendation that makes no sense is named", async () => {
  const refusal = (message: RegExp) => ({ name: "ModelFileError", message });
  await assert.rejects(
    gguf({ "general.sampling.temp": -1 }),
    refusal(/^models\/test\.gguf: "general\.sampling\.temp" is -1: expected a number from 0 to 100$/),
  );
  await assert.rejects(
    gguf({ "general.sampling.top_p": NaN }),
    refusal(/top_p" is NaN: expected a number from 0 to 1$/),
  );
  await assert.rejects(huggingFace('{"top_p": 7}'), refusal(/\/generation_config\.json: "top_p" is 7: expected/));
  await assert.rejects(huggingFace('{"top_k": "all"}'), refusal(/"top_k" is "all": expected/));
  await assert.rejects(huggingFace('{"min_p": [1]}'), refusal(/"min_p" is no number: expected/));
  await assert.rejects(huggingFace("no"), refusal(/generation_config\.json is not JSON/));
});
