/** @file `deno task page`: bundles src/page/ into the module that the server sends; a test fails where they differ. */
import { bundleModule, bundlePage } from "./bundle.ts";

const TARGET = new URL("../../src/routes/playground/bundle.ts", import.meta.url);

const bundle = await bundlePage();
await Deno.writeTextFile(TARGET, bundleModule(bundle));
console.log(`${bundle.script.length + bundle.style.length} characters`);
// What is left of the bundler would keep the program going.
Deno.exit();
