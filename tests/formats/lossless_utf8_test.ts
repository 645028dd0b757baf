import assert from "node:assert/strict";
import { writeGguf } from "../../src/formats/gguf_writer.ts";
import { openGguf } from "../../src/formats/gguf.ts";
import { decodeLossless, encodeLossless } from "../../src/formats/lossless_utf8.ts";
import { withFile } from "../support/files.ts";

Deno.test("Text stays text, and bytes that are not UTF-8 come back as they were", () => {
  for (const text of ["", "a", "é▁你😀", "\ufeff\u0000", "\u{10000}\u{10ffff}", "\u0800\uffff"]) {
    assert.equal(decodeLossless(new TextEncoder().encode(text)), text);
    assert.deepEqual(encodeLossless(text), new TextEncoder().encode(text));
  }
  const pieces = [[0x41], [0x80], [0xc3, 0xa9], [0xc3], [0xe4, 0xbd], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98, 0x80], [
    0xff,
  ]];
  for (const first of pieces) {
    for (const second of pieces) {
      for (const third of pieces) {
        const bytes = Uint8Array.of(...first, ...second, ...third);
        assert.deepEqual(encodeLossless(decodeLossless(bytes)), bytes, String(bytes));
      }
    }
  }
  assert.equal(decodeLossless(Uint8Array.of(0x41, 0xff, 0xc3, 0xa9)), "A\udcffé");
});

Deno.test("Two tokens of a GGUF file whose bytes are not UTF-8 are two tokens", async () => {
  const bytes = writeGguf({ "tokenizer.ggml.tokens": ["a\u0001", "a\u0002"] }, []);
  for (let i = 1; i < bytes.length; i++) if (bytes[i - 1] === 0x61 && bytes[i] < 3) bytes[i] += 0xf0;
  await withFile(bytes, async (path) => {
    const file = await openGguf(path);
    assert.deepEqual(file.metadata["tokenizer.ggml.tokens"], ["a\udcf1", "a\udcf2"]);
    file.close();
  });
});
