import assert from "node:assert/strict";
import { convertModel } from "../../src/conversion/convert_model.ts";
import type { FileType } from "../../src/conversion/file_types.ts";
import { quantizeModel } from "../../src/conversion/quantize_model.ts";
import { readModelConfig } from "../../src/architecture/read_config.ts";
import { readSamplingDefaults } from "../../src/architecture/sampling_defaults.ts";
import type { ModelFile } from "../../src/formats/model_file.ts";
import { openModel } from "../../src/formats/open.ts";
import { loadChatTemplate } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { GOLDEN_MODELS } from "../../fixtures/golden_models.ts";
import { tinyGguf, tinySafetensors } from "../../fixtures/tiny_model.ts";
import { withDirectory } from "../support/files.ts";

/** Converts the folder and passes on what it was and what it is, both open. */
async function converted(
  folder: string,
  action: (original: ModelFile, made: ModelFile) => Promise<void>,
  type?: FileType,
): Promise<void> {
  const original = await openModel(folder);
  try {
    const out = `${folder}/out-${type}.gguf`;
    await convertModel(original, out, type);
    const made = await openModel(out);
    await action(original, made).finally(() => made.close());
  } finally {
    original.close();
  }
}

async function weightsOf(file: ModelFile): Promise<Record<string, unknown>> {
  const entries = await Promise.all(
    [...file.tensors].map(async ([name, { type, shape }]) =>
      [name, { type, shape, bytes: await file.readTensor(name) }] as const
    ),
  );
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Models of all families whose weights safetensors can hold. */
const MODELS = Object.entries(GOLDEN_MODELS).filter(([, { type }]) => type === undefined || type === "F16");

for (const [name, options] of MODELS) {
  Deno.test(`"${name}" as a folder becomes the GGUF file of the same weights and sizes`, () =>
    withDirectory(
      { ...tinySafetensors(options), "same.gguf": tinyGguf(options) },
      (folder) =>
        converted(folder, async (_, made) => {
          const same = await openModel(`${folder}/same.gguf`);
          try {
            assert.deepEqual(await weightsOf(made), await weightsOf(same));
            const { name: _name, ...config } = await readModelConfig(made);
            const { name: _sameName, ...expected } = await readModelConfig(same);
            assert.deepEqual(config, expected);
          } finally {
            same.close();
          }
        }),
    ));
}

Deno.test("converting to a type is converting and then quantising", () =>
  withDirectory(
    tinySafetensors({ architecture: "internlm2", feedForwardSize: 256 }),
    (folder) =>
      converted(folder, async (_, plain) => {
        for (const type of ["Q8_0", "Q4_K_M"] as const) {
          await quantizeModel(plain, `${folder}/twice-${type}.gguf`, type);
          await converted(folder, async (_, made) => {
            const twice = await openModel(`${folder}/twice-${type}.gguf`);
            try {
              assert.deepEqual(await weightsOf(made), await weightsOf(twice));
              assert.deepEqual(made.metadata, twice.metadata);
            } finally {
              twice.close();
            }
          }, type);
        }
      }),
  ));

Deno.test("the tokenizer, chat templates and recommended sampling come along", () => {
  const template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  const files = tinySafetensors({ architecture: "qwen2" });
  const config = JSON.parse(files["tokenizer_config.json"] as string);
  const chatTemplate = [{ name: "default", template }, { name: "tool_use", template: `tools ${template}` }];
  return withDirectory({
    ...files,
    "tokenizer_config.json": JSON.stringify({ ...config, chat_template: chatTemplate }),
    "generation_config.json": JSON.stringify({ temperature: 0.6, top_k: 20, top_p: 0.95, repetition_penalty: 1.1 }),
  }, (folder) =>
    converted(folder, async (original, made) => {
      const [before, after] = [await loadTokenizer(original), await loadTokenizer(made)];
      const text = "don't  stop 123\n\tnaïve 你好 <|endoftext|>";
      assert.deepEqual(after.encode(text), before.encode(text));
      assert.deepEqual(after.endTokens, before.endTokens);
      assert.equal(after.vocabularySize, before.vocabularySize);
      const { source, toolUseSource } = await loadChatTemplate(made, after);
      assert.deepEqual([source, toolUseSource], [template, `tools ${template}`]);
      const sampling = Object.entries(await readSamplingDefaults(made)).map((
        [key, value],
      ) => [key, Math.fround(value)]);
      assert.deepEqual(
        Object.fromEntries(sampling),
        Object.fromEntries(
          Object.entries({ temperature: 0.6, topK: 20, topP: 0.95, minP: 0, repetitionPenalty: 1.1 })
            .map(([key, value]) => [key, Math.fround(value)]),
        ),
      );
    }));
});

Deno.test("what GGUF cannot hold is refused by name", () =>
  withDirectory(
    tinySafetensors({ architecture: "llama", ropeScaling: { type: "dynamic", factor: 2, originalContext: 256 } }),
    (folder) =>
      assert.rejects(
        converted(folder, () => Promise.resolve()),
        /the rotation is scaled dynamically, which GGUF has no words for: serve the folder itself/,
      ),
  ));

Deno.test("a GGUF file is sent to quantize", () =>
  withDirectory({ "model.gguf": tinyGguf({ architecture: "llama" }) }, async (folder) => {
    const file = await openModel(`${folder}/model.gguf`);
    await assert.rejects(convertModel(file, `${folder}/out.gguf`), /main\.ts quantize/).finally(() => file.close());
  }));
