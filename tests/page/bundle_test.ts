import assert from "node:assert/strict";
import { bundleModule, bundlePage } from "../../tools/page/bundle.ts";

const SENT = new URL("../../src/routes/playground/bundle.ts", import.meta.url);

Deno.test("what the server sends is what src/page says: else run deno task page", async () => {
  const bundle = await bundlePage();
  assert.ok((await Deno.readTextFile(SENT)) === bundleModule(bundle), "src/page has changed: run deno task page");
  // Nothing is asked of anyone else, nothing is made of texts at run time.
  assert.doesNotMatch(bundle.script, /\beval\(|new Function|import\(/);
  assert.ok(!bundle.script.includes("</script"));
  assert.ok(!bundle.style.includes("</style"));
  assert.doesNotMatch(bundle.style, /@import|url\(/);
  assert.ok(bundle.script.length < 100_000, `${bundle.script.length} characters`);
});
