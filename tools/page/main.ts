/** @file `deno task page`: bundles src/page/ into the module that the server sends; a test fails where they differ. */
import { readArguments, runProgram } from "../../fixtures/program.ts";
import { bundleModule, bundlePage } from "./bundle.ts";

const TARGET = new URL("../../src/routes/playground/bundle.ts", import.meta.url);
const USAGE = "Usage: deno task page";

async function main(args: string[]): Promise<void> {
  readArguments({ args });
  const bundle = await bundlePage();
  await Deno.writeTextFile(TARGET, bundleModule(bundle));
  console.log(`${bundle.script.length + bundle.style.length} characters`);
}

if (import.meta.main) await runProgram(USAGE, main);
