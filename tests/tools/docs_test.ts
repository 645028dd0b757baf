import assert from "node:assert/strict";
import { PARTS, withParts } from "../../tools/docs/tables.ts";
import { readPage } from "../support/pages/pages.ts";

/** Without what the formatter adds to tables. */
const plain = (page: string) => page.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---");

for (const path of Object.keys(PARTS)) {
  Deno.test(`the tables of ${path} are those of the code`, async () => {
    const page = await readPage(path);
    assert.equal(plain(page), plain(withParts(path, page)), "run `deno task docs`");
  });
}

Deno.test("withParts() names the marks that a page lacks", () => {
  assert.throws(
    () => withParts("docs/cli.md", "no marks"),
    /docs\/cli\.md must hold the lines <!-- made by deno task docs/,
  );
});
