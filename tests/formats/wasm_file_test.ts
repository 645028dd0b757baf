import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { readWasm } from "../../src/formats/wasm_file.ts";
import { withDirectory } from "../support/files.ts";

const BYTES = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

Deno.test("WebAssembly is read as it is, or unpacked where it is packed", () =>
  withDirectory({ "a.wasm": BYTES, "b.wasm": "", "b.wasm.gz": gzipSync(BYTES) }, async (directory) => {
    for (const name of ["a.wasm", "b.wasm"]) {
      assert.deepEqual(await readWasm(pathToFileURL(`${directory}/${name}`).href), BYTES);
    }
    await assert.rejects(readWasm(pathToFileURL(`${directory}/c.wasm`)), Deno.errors.NotFound);
  }));
