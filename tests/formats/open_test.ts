import assert from "node:assert/strict";
import { writeGguf } from "../../src/formats/gguf_writer.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { openModel } from "../../src/formats/open.ts";
import { withDirectory, withFile } from "../support/files.ts";
import { writeSafetensors } from "../support/safetensors.ts";

Deno.test("openModel() opens a GGUF file by its content, whatever its name", async () => {
  await withFile(writeGguf({ "general.architecture": "llama" }, []), async (path) => {
    const file = await openModel(path);
    assert.equal(file.format, "gguf");
    assert.equal(file.metadata["general.architecture"], "llama");
    file.close();
  }, "blob");
});

Deno.test("openModel() opens a directory as a safetensors model", async () => {
  await withDirectory({ "config.json": "{}", "model.safetensors": writeSafetensors([]) }, async (directory) => {
    const file = await openModel(directory);
    assert.equal(file.format, "safetensors");
    file.close();
  });
});

const OTHER_FILES: Record<string, [name: string, content: string, message: RegExp]> = {
  "an empty file": ["model.gguf", "", /is empty: expected a GGUF file/],
  "a lone safetensors file": ["model.safetensors", "\x02\0\0\0\0\0\0\0{}", /give the directory that holds it/],
  "a PyTorch checkpoint": ["pytorch_model.bin", "PK\x03\x04...", /is a PyTorch checkpoint: convert it/],
  "a file from before GGUF": ["model.bin", "tjgg....", /is a GGML file from before GGUF/],
  "a big-endian GGUF file": ["model.gguf", "FUGG....", /is a big-endian GGUF file/],
  "a Git LFS pointer": ["model.gguf", "version https://git-lfs.github.com/spec/v1\n", /is a Git LFS pointer/],
  "a web page": ["model.gguf", "\n<!DOCTYPE html><html>", /is a web page/],
  "any other file": ["notes.txt", "hello", /is not a model that Ebb knows: expected a GGUF file/],
};

for (const [what, [name, content, message]] of Object.entries(OTHER_FILES)) {
  Deno.test(`openModel() says what to do about ${what}`, async () => {
    await withFile(content, async (path) => {
      await assert.rejects(openModel(path), (error: Error) => {
        assert(error instanceof ModelFileError, String(error.stack));
        assert(error.message.startsWith(path), error.message);
        assert.match(error.message, message);
        return true;
      });
    }, name);
  });
}

Deno.test("openModel() says what it expects where there is nothing", async () => {
  await assert.rejects(openModel("no/such/model"), (error: Error) => {
    assert(error instanceof ModelFileError);
    assert.match(error.message, /no\/such\/model does not exist: expected a GGUF file, or a directory/);
    return true;
  });
});

Deno.test("openModel() says what a directory without config.json lacks, and points at GGUF files in it", async () => {
  await withDirectory({ "model.safetensors": writeSafetensors([]) }, async (directory) => {
    await assert.rejects(openModel(directory), /has no config.json: expected a directory with config.json and/);
  });
  await withDirectory({ "b.gguf": "", "a.gguf": "" }, async (directory) => {
    await assert.rejects(openModel(directory), /is a directory: give the file itself, .*\/a.gguf$/);
  });
});
