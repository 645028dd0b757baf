/** @file llama.cpp as a contender, in a process of its own. */
import { fileURLToPath } from "node:url";
import { TextLineStream } from "./text_line_stream.ts";
import type { Case, Contender, Timing } from "./contender.ts";

/**
 * Starts llama.cpp on a model.
 *
 * @param directory holds node_modules with node-llama-cpp
 */
export async function startLlama(
  directory: string,
  model: string,
  threads: number,
  context: number,
): Promise<Contender> {
  const begun = performance.now();
  const script = fileURLToPath(new URL("./llama_cpp.mjs", import.meta.url));
  const child = new Deno.Command("node", {
    args: [script, directory, model, String(threads), String(context)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  const input = child.stdin.getWriter();
  const next = async () => {
    const { value } = await lines.read();
    if (value === undefined) throw new Error("llama.cpp ended before it had answered");
    return JSON.parse(value);
  };
  const { version, memory } = await next();
  return {
    name: `llama.cpp ${version}`,
    ready: (performance.now() - begun) / 1000,
    memory,
    async run(work: Case): Promise<Timing> {
      await input.write(new TextEncoder().encode(`${JSON.stringify(work)}\n`));
      return await next();
    },
    async close() {
      await input.close();
      await child.status;
    },
  };
}
