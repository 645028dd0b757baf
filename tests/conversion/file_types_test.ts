import assert from "node:assert/strict";
import { FILE_TYPES, type FileType, tensorTypes } from "../../src/conversion/file_types.ts";
import { openModel } from "../../src/formats/open.ts";
import { LAYERED_MODELS, typesByMatrix } from "../../fixtures/quantised_models.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { withFile } from "../support/files.ts";
import golden from "../golden/quantised_models.json" with { type: "json" };

// What llama.cpp's own quantiser chose: see tools/golden/quantised_models.ts.
for (const [name, options] of Object.entries(LAYERED_MODELS)) {
  Deno.test(`the tensors of a model with ${name} get the types that llama.cpp gives them, for every type of file`, () =>
    withFile(tinyGguf(options), async (path) => {
      const file = await openModel(path);
      const tensors = [...file.tensors.values()];
      file.close();
      const expected: Record<string, Record<string, string>> = golden.types[name as keyof typeof golden.types];
      assert.deepEqual(Object.keys(expected), Object.keys(FILE_TYPES));
      for (const fileType of Object.keys(FILE_TYPES) as FileType[]) {
        const types = tensorTypes(tensors, fileType);
        assert.deepEqual(
          typesByMatrix(tensors.map((tensor, i) => ({ ...tensor, type: types[i] }))),
          expected[fileType],
        );
      }
    }));
}

Deno.test("norms, biases and tables keep their type, whatever the file's", () => {
  const tensors = ["output_norm.weight", "blk.0.attn_q.bias", "rope_freqs.weight"]
    .map((name) => ({ name, shape: [64], type: "F32" as const }));
  for (const fileType of Object.keys(FILE_TYPES) as FileType[]) {
    assert.deepEqual(tensorTypes(tensors, fileType), ["F32", "F32", "F32"]);
  }
});
