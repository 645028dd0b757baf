/**
 * @file Fills a folder that can stand for `DENO_DIR`: with the npm packages that the program needs, pruned, and nothing else.
 * On it the program runs without a network. For images of containers, where no compiled program is needed.
 *
 *     deno run -A tools/release/cache.ts FOLDER
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { withPrunedCache } from "./compile.ts";

const [folder] = Deno.args;
if (folder === undefined) {
  console.error("Name the folder to fill: deno run -A tools/release/cache.ts FOLDER");
  Deno.exit(2);
}
await withPrunedCache((cache) => cp(join(cache, "npm"), join(folder, "npm"), { recursive: true }));
