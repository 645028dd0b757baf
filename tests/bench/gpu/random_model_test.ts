/** @file The model with random weights: its file is what the loader expects, and its activations neither grow nor fade. */
import assert from "node:assert/strict";
import { randomModelBytes, writeRandomModel } from "../../../bench/gpu/random_model.ts";
import { type Shape, SHAPES } from "../../../bench/gpu/shapes.ts";
import { testGpu } from "../../../fixtures/gpu.ts";
import { readModelConfig } from "../../../src/architecture/read_config.ts";
import { openModel } from "../../../src/formats/open.ts";
import { dequantise } from "../../../src/formats/quantisation.ts";
import { withDirectory } from "../../support/files.ts";
import { greedy, loadTestModel } from "../../support/greedy.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 4 };

function deviation(values: ArrayLike<number>): number {
  const all = Array.from(values);
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  return Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length);
}

Deno.test("a random model has the sizes of its shape and weights of the deviation that keeps activations", async () => {
  await withDirectory({}, async (directory) => {
    const path = `${directory}/random.gguf`;
    const bytes = await writeRandomModel(path, SHAPE, "Q4_K");
    assert.equal(bytes, randomModelBytes(SHAPE, "Q4_K"));
    assert.equal((await Deno.stat(path)).size, bytes);
    const file = await openModel(path);
    const config = await readModelConfig(file);
    assert.deepEqual(
      [config.layerCount, config.hiddenSize, config.feedForwardSize, config.vocabularySize],
      [4, 256, 512, 512],
    );
    assert.deepEqual([config.queryHeadCount, config.kvHeadCount, config.headSize], [4, 2, 64]);
    for (const [name, columns] of [["blk.3.attn_q.weight", 256], ["blk.3.ffn_down.weight", 512]] as const) {
      const { shape: [rows], type } = file.tensors.get(name)!;
      assert.equal(type, "Q4_K");
      const found = deviation(dequantise("Q4_K", await file.readTensor(name), rows * columns));
      const expected = 1 / Math.sqrt(columns);
      assert.ok(Math.abs(found / expected - 1) < 0.05, `${name}: ${found}, expected ${expected}`);
    }
    const norm = dequantise("F32", await file.readTensor("output_norm.weight"), 256);
    assert.ok(norm.every((value) => value === 1));
    file.close();
  });
});

Deno.test("a random model gives logits of the deviation that its weights say, in prefill and in decoding", async () => {
  await withDirectory({}, async (directory) => {
    const path = `${directory}/random.gguf`;
    await writeRandomModel(path, SHAPE, "Q4_K");
    const model = await loadTestModel(await testGpu(), path, { contextLength: 64, maxBatch: 1 });
    const [{ logits }] = await greedy(model, [[5, 70, 300, 11, 42]], 3);
    // Normalised activations times 1 / sqrt(columns), summed over the columns: about 1.
    for (const step of logits) {
      const found = deviation(step);
      assert.ok(found > 0.7 && found < 1.4, `the logits deviate by ${found}`);
    }
  });
});

Deno.test("a random model is the same every time", async () => {
  await withDirectory({}, async (directory) => {
    const paths = ["a", "b"].map((name) => `${directory}/${name}.gguf`);
    for (const path of paths) await writeRandomModel(path, { ...SHAPE, layers: 1 }, "Q8_0");
    assert.deepEqual(...await Promise.all(paths.map((path) => Deno.readFile(path))) as [Uint8Array, Uint8Array]);
  });
});
