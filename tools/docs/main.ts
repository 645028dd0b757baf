/**
 * @file `deno task docs`: makes the tables of the pages in docs/ from those of the code. tests/tools/docs_test.ts fails where a page is
 * not as this would make it.
 */
import { PARTS, withParts } from "./tables.ts";

const ROOT = new URL("../../", import.meta.url);

for (const path of Object.keys(PARTS)) {
  const file = new URL(path, ROOT);
  await Deno.writeTextFile(file, withParts(path, await Deno.readTextFile(file)));
}
// The formatter pads the cells of tables.
const { code } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", ...Object.keys(PARTS)], cwd: ROOT })
  .spawn().status;
Deno.exit(code);
