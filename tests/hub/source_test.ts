import assert from "node:assert/strict";
import { SourceError } from "../../src/hub/hub_error.ts";
import { isRemote, parseSource } from "../../src/hub/source.ts";

Deno.test("repositories, their files and URLs are sources", () => {
  assert.deepEqual(parseSource("hf:o/r"), { kind: "hub", repository: "o/r" });
  assert.deepEqual(parseSource("hf:O-1/R.2_x:Q4_K_M"), { kind: "hub", repository: "O-1/R.2_x", file: "Q4_K_M" });
  assert.deepEqual(parseSource("HF:o/r:a/b c.gguf"), { kind: "hub", repository: "o/r", file: "a/b c.gguf" });
  const url = "https://example.com/a/model.gguf?x=1";
  assert.deepEqual(parseSource(url), { kind: "url", url: new URL(url) });
});

Deno.test("anything else is refused, with what was expected", () => {
  for (const text of ["hf:", "hf:r", "hf:o/r/s", "hf:o/r:", "hf:../r", "hf:o/..", "hf:o/a..b", "hf:o r/x", "hf:.o/r"]) {
    assert.throws(() => parseSource(text), (error: unknown) => {
      assert.ok(error instanceof SourceError);
      assert.equal(error.message, `${text} names no model: expected hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL`);
      return true;
    });
  }
  for (const text of ["https://", "http://example.com/", "https://example.com/models/"]) {
    assert.throws(() => parseSource(text), {
      message: `${text} is no file's URL: expected one such as https://example.com/model.gguf`,
    });
  }
});

Deno.test("paths are not remote, whatever they hold", () => {
  for (const path of ["model.gguf", "./hf:o/r", "C:\\hf\\model.gguf", "https.gguf", "models/http://x"]) {
    assert.equal(isRemote(path), false, path);
  }
  for (const name of ["hf:o/r", "HF:o/r", "http://x/y", "HTTPS://x/y"]) assert.equal(isRemote(name), true, name);
});
