/** @file Another program as a contender, in a process of its own. */
import { fileURLToPath } from "node:url";
import type { Case, Contender, Timing } from "./contender.ts";
import { TextLineStream } from "./text_line_stream.ts";

/** What a peer is started for. */
export interface PeerOptions {
  /** Holds node_modules with its package. */
  readonly directory: string;
  readonly model: string;
  readonly threads: number;
  readonly context: number;
}

/** How a peer is started: a program and its flags, and a script beside this file that gets the options one by one. */
interface Peer {
  readonly name: string;
  readonly command: readonly string[];
  readonly script: string;
}

/** By the flag that names their directory. */
export const PEERS = {
  "llama-cpp": { name: "llama.cpp", command: ["node"], script: "./llama_cpp.mjs" },
  // It looks for its files beside the page that it is on.
  "wllama": {
    name: "wllama",
    command: [Deno.execPath(), "run", "-A", "--no-config", "--location", "http://localhost/"],
    script: "./wllama.mjs",
  },
  "transformers-js": { name: "transformers.js", command: ["node"], script: "./transformers_js.mjs" },
} as const satisfies Record<string, Peer>;
export type PeerFlag = keyof typeof PEERS;

/** Starts a peer on a model: it says that it is ready on a line, then takes cases and gives timings, a line each. */
export async function startPeer(flag: PeerFlag, options: PeerOptions): Promise<Contender> {
  const { name, command: [program, ...flags], script } = PEERS[flag];
  const { directory, model, threads, context } = options;
  const begun = performance.now();
  const child = new Deno.Command(program, {
    args: [
      ...flags,
      fileURLToPath(new URL(script, import.meta.url)),
      directory,
      model,
      String(threads),
      String(context),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  const input = child.stdin.getWriter();
  const next = async () => {
    const { value } = await lines.read();
    if (value === undefined) throw new Error(`${name} ended before it had answered`);
    return JSON.parse(value);
  };
  const { version, memory } = await next();
  return {
    name: `${name} ${version}`,
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
