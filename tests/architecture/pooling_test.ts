import assert from "node:assert/strict";
import { tinyGguf, tinySafetensors } from "../../fixtures/tiny_model.ts";
import { readPooling } from "../../src/architecture/pooling.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { openModel } from "../../src/formats/open.ts";
import { withDirectory, withFile } from "../support/files.ts";

async function poolingOf(path: string) {
  const file = await openModel(path);
  try {
    return readPooling(file);
  } finally {
    file.close();
  }
}

Deno.test("GGUF's pooling_type says how states are pooled; otherwise it is the last token's", async () => {
  const expected = [[undefined, "last"], [0, "last"], [1, "mean"], [2, "first"], [3, "last"]] as const;
  for (const [poolingType, pooling] of expected) {
    const bytes = tinyGguf({ architecture: "qwen3", poolingType });
    assert.equal(await withFile(bytes, poolingOf), pooling);
  }
  assert.equal(await withDirectory(tinySafetensors({ architecture: "llama" }), poolingOf), "last");
});

Deno.test("a reranker, and what nobody knows, is refused by name", async () => {
  for (const poolingType of [4, 9]) {
    await withFile(tinyGguf({ architecture: "llama", poolingType }), async (path) => {
      await assert.rejects(poolingOf(path), (error: Error) => {
        assert.ok(error instanceof ModelFileError);
        assert.match(error.message, new RegExp(`llama\\.pooling_type is ${poolingType}: expected 0 \\(none\\), 1 `));
        return true;
      });
    });
  }
});
