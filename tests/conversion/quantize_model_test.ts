import assert from "node:assert/strict";
import { FILE_TYPES, type FileType } from "../../src/conversion/file_types.ts";
import { quantizeModel } from "../../src/conversion/quantize_model.ts";
import { float32, type GgufWriterValue, writeGguf } from "../../src/formats/gguf_writer.ts";
import { readRawMetadata } from "../../src/formats/gguf.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { openModel } from "../../src/formats/open.ts";
import { digest, QUANTISED_MODELS } from "../../fixtures/quantised_models.ts";
import { tinyGguf, tinySafetensors } from "../../fixtures/tiny_model.ts";
import { withDirectory, withFile } from "../support/files.ts";
import golden from "../golden/quantised_models.json" with { type: "json" };

/** Quantises the file into its folder and passes the result on, open. */
async function quantised<Result>(
  path: string,
  type: FileType,
  action: (file: Awaited<ReturnType<typeof openModel>>, out: string) => Promise<Result>,
): Promise<Result> {
  const out = `${path}.${type}.gguf`;
  const file = await openModel(path);
  await quantizeModel(file, out, type).finally(() => file.close());
  const made = await openModel(out);
  return await action(made, out).finally(() => made.close());
}

const names = async (folder: string) => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

// What llama.cpp's own quantiser made: see tools/golden/quantised_models.ts.
for (const [name, options] of Object.entries(QUANTISED_MODELS)) {
  Deno.test(`a model with ${name} is quantised to every type as llama.cpp does it, to the bit`, () =>
    withFile(tinyGguf(options), async (path) => {
      const expected: Record<string, string> = golden.digests[name as keyof typeof golden.digests];
      for (const type of Object.keys(FILE_TYPES) as FileType[]) {
        assert.equal(await quantised(path, type, digest), expected[type], type);
      }
    }));
}

Deno.test("all metadata stays as it was, types and bytes of texts too, but for what says how it is quantised", () => {
  // 0xFF alone is no UTF-8; numbers have types that others of their value would not get.
  const extra: Record<string, GgufWriterValue> = {
    "general.whole": float32(3),
    "general.signed": { type: "int32", value: 5 },
    "general.byte": { raw: Uint8Array.of(0, 0, 0, 0, 7) },
    "general.bytes": { raw: Uint8Array.of(8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff) },
    "general.file_type": 1,
  };
  return withFile(tinyGguf({ architecture: "llama" }), async (path) => {
    const before = {
      ...Object.fromEntries([...await readRawMetadata(path)].map(([key, raw]) => [key, { raw }])),
      ...extra,
    };
    const file = await openModel(path);
    const tensors = await Promise.all([...file.tensors.values()].map(async ({ name, type, shape }) => (
      { name, type, shape, data: await file.readTensor(name) }
    )));
    file.close();
    await Deno.writeFile(path, writeGguf(before, tensors));
    await quantised(path, "Q4_1", async (made, out) => {
      const after = Object.fromEntries(await readRawMetadata(out));
      const expected = { ...Object.fromEntries(await readRawMetadata(path)) };
      expected["general.file_type"] = Uint8Array.of(4, 0, 0, 0, 3, 0, 0, 0);
      expected["general.quantization_version"] = Uint8Array.of(4, 0, 0, 0, 2, 0, 0, 0);
      assert.deepEqual(after, expected);
      assert.equal(made.metadata["general.file_type"], FILE_TYPES.Q4_1.number);
    });
  });
});

Deno.test("what is at the path already stays there, and nothing half done beside it", () =>
  withDirectory({ "model.gguf": tinyGguf({ architecture: "llama" }), "there.gguf": "mine" }, async (folder) => {
    const file = await openModel(`${folder}/model.gguf`);
    try {
      await assert.rejects(quantizeModel(file, `${folder}/there.gguf`, "Q8_0"), /there\.gguf is there already/);
      await assert.rejects(quantizeModel(file, `${folder}/no/such.gguf`, "Q8_0"), /such\.gguf cannot be written/);
    } finally {
      file.close();
    }
    assert.equal(await Deno.readTextFile(`${folder}/there.gguf`), "mine");
    assert.deepEqual(await names(folder), ["model.gguf", "there.gguf"]);
  }));

Deno.test("a weight that is no number, or too large for the type, is named, and no file is left", () =>
  withDirectory({}, async (folder) => {
    for (const [value, type] of [[NaN, "Q8_0"], [Infinity, "BF16"], [70000, "F16"]] as const) {
      const path = `${folder}/model.gguf`;
      const bytes = tinyGguf({ architecture: "llama" });
      await Deno.writeFile(path, bytes);
      const file = await openModel(path);
      // The last matrix lies at the end of the file.
      const last = [...file.tensors.keys()].at(-1)!;
      new DataView(bytes.buffer).setFloat32(bytes.length - 64, value, true);
      await Deno.writeFile(path, bytes);
      await assert.rejects(
        quantizeModel(file, `${folder}/out.gguf`, type),
        (error) => error instanceof ModelFileError && error.message.includes(`"${last}" holds the number ${value}`),
      );
      file.close();
      assert.deepEqual(await names(folder), ["model.gguf"]);
    }
  }));

Deno.test("a folder with safetensors is sent to convert", () =>
  withDirectory(tinySafetensors({ architecture: "llama" }), async (folder) => {
    const file = await openModel(folder);
    await assert.rejects(quantizeModel(file, `${folder}/out.gguf`, "Q8_0"), /main\.ts convert/).finally(() =>
      file.close()
    );
  }));
