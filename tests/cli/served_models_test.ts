import assert from "node:assert/strict";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { SERVE_FLAGS } from "../../src/cli/flags/serving.ts";
import { modelsToServe } from "../../src/cli/served_models.ts";
import { withDirectory } from "../support/files.ts";

const serve = (...args: string[]) => modelsToServe(parseOptions(args, SERVE_FLAGS, {}));
const GIB = 2 ** 30;

Deno.test("one model is served as ever: with its file's id, or that of --model-id, and all of the memory", () => {
  assert.deepEqual(serve(), [{ id: undefined, path: undefined, kvMemory: undefined }]);
  assert.deepEqual(serve("--model", "a,b.gguf", "--kv-memory", "2G"), [
    { id: undefined, path: "a,b.gguf", kvMemory: 2 * GIB },
  ]);
  assert.equal(serve("--model", "a.gguf", "--model-id", "x")[0].id, "x");
  assert.deepEqual(serve("--model", "x=a.gguf"), [{ id: "x", path: "a.gguf", kvMemory: undefined }]);
});

Deno.test("several models have ids of their own or their files', and equal parts of the memory", () => {
  const models = ["--model", "chat=dir/a.gguf", "--model", "dir/b-00001-of-00002.gguf", "--model", "hf:o/r:Q8_0"];
  assert.deepEqual(serve(...models, "--kv-memory", "3G"), [
    { id: "chat", path: "dir/a.gguf", kvMemory: GIB },
    { id: "b", path: "dir/b-00001-of-00002.gguf", kvMemory: GIB },
    { id: "r:Q8_0", path: "hf:o/r:Q8_0", kvMemory: GIB },
  ]);
  // What is loaded at once shares it.
  assert.deepEqual(serve(...models, "--kv-memory", "3G", "--max-models", "1").map(({ kvMemory }) => kvMemory! / GIB), [
    ...[3, 3, 3],
  ]);
  assert.deepEqual(serve(...models, "--kv-memory", "2G,chat=1G").map(({ kvMemory }) => kvMemory! / GIB), [1, 1, 1]);
  assert.equal(serve("--model", "https://h/p/m.gguf?a=b", "--model", "x")[0].id, "m");
});

Deno.test("a file whose name looks like an id and a path is a file", () =>
  withDirectory({ "a=b.gguf": "" }, (folder) => {
    const before = Deno.cwd();
    Deno.chdir(folder);
    try {
      assert.deepEqual(serve("--model", "a=b.gguf"), [{ id: undefined, path: "a=b.gguf", kvMemory: undefined }]);
    } finally {
      Deno.chdir(before);
    }
    return Promise.resolve();
  }));

Deno.test("what does not go together is refused with the flag's name", () => {
  assert.throws(
    () => serve("--model", "a/m.gguf", "--model", "b/m.gguf"),
    /Two models are called m: write --model ID=/,
  );
  assert.throws(() => serve("--model", "a", "--model", "b", "--alias", "b"), /Two models are called b/);
  assert.throws(() => serve("--model", "a", "--model", "b", "--model-id", "x"), /--model-id names one model.* 2/);
  assert.throws(() => serve("--model", "a", "--model", "b", "--kv-memory", "c=1G"), /names the model c.* are a, b/);
  assert.throws(() => serve("--model", "a", "--kv-memory", "1G,2G"), /--kv-memory is 1G,2G: expected one size/);
  assert.throws(() => serve("--model", "a", "--kv-memory", "b=lots"), /--kv-memory must be a list.*not "b=lots"/);
});
