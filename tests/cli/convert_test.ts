import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import { tinySafetensors } from "../../fixtures/tiny_model.ts";
import { withDirectory } from "../support/files.ts";

const MAIN = new URL("../../main.ts", import.meta.url).href;

async function main(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a folder is converted, the file quantised, and what is there is not written over", () =>
  withDirectory(tinySafetensors({ architecture: "llama", type: "BF16" }), async (folder) => {
    const [plain, small] = [`${folder}/plain.gguf`, `${folder}/small.gguf`];
    const first = await main("convert", folder, plain);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stdout, `${plain}\n`);
    assert.match(first.stderr, /^Writing .*plain\.gguf: .*\n(.*\n)*.* of weights became a file of .*\n$/);
    const typeOf = async (path: string) => {
      const file = await openModel(path);
      file.close();
      return file.tensors.get("blk.0.attn_q.weight")!.type;
    };
    assert.equal(await typeOf(plain), "BF16");

    const second = await main("quantize", plain, small, "--type", "Q4_0");
    assert.equal(second.code, 0, second.stderr);
    assert.equal(await typeOf(small), "Q4_0");

    const again = await main("quantize", plain, small, "--type", "Q8_0");
    assert.deepEqual(again, {
      code: 2,
      stdout: "",
      stderr: `${small} is there already: delete it, or give another name\n`,
    });
    assert.equal(await typeOf(small), "Q4_0");

    const nowhere = await main("quantize", plain, `${folder}/none/a.gguf`, "--type", "Q8_0");
    assert.deepEqual(nowhere, {
      code: 2,
      stdout: "",
      stderr: `OUT.gguf must be a file in a folder that is there, but ${folder}/none does not exist\n`,
    });
    // Before the model is looked at.
    const within = await main("convert", "hf:o/r", `${plain}/a.gguf`);
    assert.deepEqual([within.code, within.stdout], [2, ""]);
    assert.equal(within.stderr, `OUT.gguf must be a file in a folder that is there, but ${plain} is none\n`);

    const third = await main("quantize", small, `${folder}/third.gguf`, "--type", "Q8_0");
    assert.match(third.stderr, /^.*small\.gguf is quantised already \(token_embd\.weight is Q4_0\): /);
  }));

Deno.test("an unknown type and a missing file to write are refused with the flag's name", async () => {
  const type = await main("quantize", "in.gguf", "out.gguf", "--type", "Q3");
  assert.equal(type.code, 2);
  assert.match(type.stderr, /^--type must be F32, F16, [^\n]*, not "Q3"\n$/);
  const missing = await main("convert", "folder");
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^OUT\.gguf is missing: name a file to write/);
});
