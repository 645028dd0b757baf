import assert from "node:assert/strict";
import { type GgufWriterValue, writeGguf } from "../../src/formats/gguf_writer.ts";
import { openModel } from "../../src/formats/open.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { withDirectory } from "../support/files.ts";

const tensor = (name: string, value: number) => ({
  name,
  type: "F32" as const,
  shape: [2],
  data: new Uint8Array(Float32Array.of(value, -value).buffer),
});

function part(number: number, count: number, names: readonly string[], extra: Record<string, GgufWriterValue> = {}) {
  const split = { "split.no": number, "split.count": count, "split.tensors.count": 3 };
  return writeGguf({ ...extra, ...split }, names.map((name, i) => tensor(name, 10 * number + i + 1)));
}

const PARTS = {
  "m-00001-of-00003.gguf": part(0, 3, [], { "general.architecture": "llama" }),
  "m-00002-of-00003.gguf": part(1, 3, ["a", "b"]),
  "m-00003-of-00003.gguf": part(2, 3, ["c"]),
};

Deno.test("A model in several GGUF files is opened by the name of any one", async () => {
  await withDirectory(PARTS, async (directory) => {
    for (const name of Object.keys(PARTS)) {
      const path = `${directory}/${name}`;
      const file = await openModel(path);
      assert.equal(file.path, path);
      assert.equal(file.metadata["general.architecture"], "llama");
      assert.deepEqual([...file.tensors.keys()], ["a", "b", "c"]);
      assert.equal(file.tensorBytes, 24);
      for (const [name, value] of [["a", 11], ["b", 12], ["c", 21]] as const) {
        assert.deepEqual(new Float32Array((await file.readTensor(name)).buffer), Float32Array.of(value, -value));
      }
      file.close();
    }
  });
});

async function assertRefused(files: Record<string, Uint8Array>, message: RegExp): Promise<void> {
  await withDirectory(files, async (directory) => {
    await assert.rejects(openModel(`${directory}/${Object.keys(files)[0]}`), (error: Error) => {
      assert.ok(error instanceof ModelFileError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("A part that is missing is named", async () => {
  const { "m-00002-of-00003.gguf": _, ...others } = PARTS;
  await assertRefused(others, /m-00002-of-00003\.gguf does not exist: it is part 2 of 3 of the model/);
});

Deno.test("Parts that do not belong together are refused", async () => {
  const renamed = { ...PARTS, "m-00003-of-00003.gguf": part(1, 3, ["c"]) };
  await assertRefused(renamed, /m-00003-of-00003\.gguf says that it is part 2 of 3: expected part 3 of 3/);
  const twice = { ...PARTS, "m-00003-of-00003.gguf": part(2, 3, ["a"]) };
  await assertRefused(twice, /m-00003-of-00003\.gguf: tensor "a" is in .*m-00002-of-00003\.gguf, too/);
  const fewer = { ...PARTS, "m-00003-of-00003.gguf": part(2, 3, []) };
  await assertRefused(fewer, /"split\.tensors\.count" is 3, but the 3 parts have 2 tensors/);
  await assertRefused({ "model.gguf": PARTS["m-00002-of-00003.gguf"] }, /ends in -00001-of-00003\.gguf or the like/);
  await assertRefused({ "m-00001-of-00002.gguf": PARTS["m-00001-of-00003.gguf"] }, /ends in -00001-of-00003\.gguf/);
});
