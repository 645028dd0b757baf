/** @file `main.ts policy new`: a policy to begin with, and what an editor needs to know its types. */
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import project from "../../deno.json" with { type: "json" };
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { PolicyNewOptions } from "./flags/policies.ts";

/** Writes the file, which must not exist, and a deno.json beside it if there is none. */
export async function policyNew({ file }: PolicyNewOptions): Promise<number> {
  if (!/\.(ts|mts)$/.test(file)) {
    throw new ExitError("usage", `FILE must be TypeScript, such as mine.ts, not ${JSON.stringify(file)}`);
  }
  await write(file, templateOf(nameOf(file)));
  console.log(`${file} is a policy that works. To look for faults in it, and to see what it is worth:

  main.ts policy check ${file}
  main.ts policy try ${file}
`);
  console.log(await writeTypes(join(dirname(file), "deno.json")));
  return EXIT_CODES.ok.code;
}

/** What is to be imported by its name, for editors and `deno check`; Ebb itself does not read it. */
const IMPORTS = {
  "ebb/policy": pathToFileURL(fileURLToPath(new URL("../policy/mod.ts", import.meta.url))).href,
  zod: project.imports.zod,
};

async function writeTypes(path: string): Promise<string> {
  try {
    await write(path, `${JSON.stringify({ imports: IMPORTS }, null, 2)}\n`);
    return `${path} tells editors with Deno, and deno check, what "ebb/policy" is.`;
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    return `For editors with Deno, and for deno check, ${path} needs, under "imports":\n\n${
      JSON.stringify(IMPORTS, null, 2)
    }`;
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new ExitError("usage", `${path} exists already: name another file`);
    }
    if (error instanceof Deno.errors.NotFound) throw new ExitError("usage", `The directory of ${path} does not exist`);
    throw error;
  }
}

/** The name of the policy: that of its file. */
function nameOf(file: string): string {
  const name = basename(file, extname(file)).toLowerCase().replace(/[^a-z0-9._-]+/g, "-").replace(
    /^[^a-z0-9]+|[^a-z0-9]+$/g,
    "",
  );
  return name === "" ? "mine" : name;
}

function templateOf(name: string): string {
  return `/**
 * A KV cache policy: which rows of a prompt each layer keeps.
 *
 * Save, then: main.ts policy check FILE, main.ts policy try FILE, main.ts serve --plugin FILE.
 */
import { attention, definePolicy, plus, pool, recency, z } from "ebb/policy";

export default definePolicy({
  // The version of "ebb/policy" that this file was written for.
  api: 1,
  // How requests name it: {"kv_cache": {"policy": "${name}", "budget": 64}}.
  name: "${name}",
  description: "Keeps what the end of the prompt attends to, and prefers what is recent",

  // What requests can set under {"kv_cache": {"options": ...}}; each needs a default.
  options: z.strictObject({
    window: z.int().min(1).max(64).default(8).describe("Last rows of the prompt, which ask what matters and are always kept"),
    recent: z.number().min(0).max(1).default(0.02).describe("How much more the last rows count than the first ones"),
  }),

  // How the rows of a layer are scored for each KV head: the higher, the longer they are kept. A list of steps, a source first. Others are
  // attentionOfAll, keyNorm, keyDifference, random, linear, onHost and wgsl; and valueNorm, readAhead, lookUp, times, normalise, protect, ...
  score({ budget, messages }, { window, recent }) {
    // The context has the shape of the model and of the prompt, the budget in rows per layer, and where the messages are.
    const last = Math.max(1, Math.min(window, Math.floor(budget / 2), (messages.at(-1)?.end ?? 2) - 1));
    return [
      attention({ window: last }),
      pool({ width: 7, by: "maximum" }),
      plus({ score: [recency({ window: last })], weight: recent }),
    ];
  },

  // How the budget is shared: "uniform", "dynamickv", "pyramidkv", "adakv", "cake", "lava", "dynamickv-heads",
  // or what defineAllocator() returns.
  allocator: "dynamickv",
});
`;
}
