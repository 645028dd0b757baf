/**
 * @file `deno task docs`: makes the tables of the pages in docs/ from those of the code. tests/tools/docs_test.ts fails where a page is
 * not as this would make it.
 */
import { readArguments, runProgram } from "../../fixtures/program.ts";
import { PARTS, withParts } from "./tables.ts";

const ROOT = new URL("../../", import.meta.url);
const USAGE = "Usage: deno task docs";

async function main(args: string[]): Promise<number> {
  readArguments({ args });
  const paths = Object.keys(PARTS);
  for (const path of paths) {
    const file = new URL(path, ROOT);
    await Deno.writeTextFile(file, withParts(path, await Deno.readTextFile(file)));
  }
  // The formatter pads the cells of tables.
  return (await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", ...paths], cwd: ROOT }).spawn().status)
    .code;
}

if (import.meta.main) await runProgram(USAGE, main);
