/** @file The program itself in a process of its own: `main.ts serve` and its other commands. */
import { until } from "./engine.ts";

const MAIN = new URL("../../main.ts", import.meta.url).href;

/** Of a real trained model; not in this repository. */
export const STORIES = new URL("../../../shared/models/stories260K.gguf", import.meta.url).pathname;
export const hasStories: boolean = await Deno.stat(STORIES).then(() => true, () => false);

/** How to run a script, without the EBB_* variables of whoever runs the tests. */
function command(script: string, args: readonly string[], stdin: "null" | "piped" = "null"): Deno.Command {
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("EBB_"));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    env: { ...Object.fromEntries(inherited), NO_COLOR: "1" },
    clearEnv: true,
    stdin,
    stdout: "piped",
    stderr: "piped",
  });
}

/** How a process ended, and all that it wrote. */
export interface ProcessEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `main.ts` to its end. */
export async function runMain(...args: string[]): Promise<ProcessEnd> {
  return endOf(await command(MAIN, args).output());
}

/** The same, with a text on standard input. */
export async function runMainOn(input: string, ...args: string[]): Promise<ProcessEnd> {
  const process = command(MAIN, args, "piped").spawn();
  const [output] = await Promise.all([process.output(), new Blob([input]).stream().pipeTo(process.stdin)]);
  return endOf(output);
}

function endOf({ code, stdout, stderr }: Deno.CommandOutput): ProcessEnd {
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A server that listens. */
export class TestServer {
  #isHarmed = false;

  private constructor(readonly process: Deno.ChildProcess, readonly url: string, readonly printed: Promise<string>[]) {}

  /** Starts `main.ts serve` on a free port and waits until it listens. */
  static start(model: string, ...args: string[]): Promise<TestServer> {
    return TestServer.#spawn(command(MAIN, ["serve", "--model", model, "--port", "0", ...args]));
  }

  /** Starts a server whose engine can be made to fail by {@link harm}, and does not start again if it lives `once`. */
  static startMortal(model: string, ...lives: "once"[]): Promise<TestServer> {
    return TestServer.#spawn(command(new URL("./mortal_server.ts", import.meta.url).href, [model, ...lives], "piped"));
  }

  static async #spawn(command: Deno.Command): Promise<TestServer> {
    const process = command.spawn();
    const stderr = new Response(process.stderr).text();
    const [head, rest] = process.stdout.tee();
    const reader = head.pipeThrough(new TextDecoderStream()).getReader();
    let line = "";
    while (!line.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`The server did not start: ${await stderr}`);
      line += value;
    }
    await reader.cancel();
    const url = /^Listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line)?.[1];
    if (url === undefined) throw new Error(`Unexpected output of the server: ${line}`);
    return new TestServer(process, url, [new Response(rest).text(), stderr]);
  }

  /** Posts a body and returns the reply's. */
  async post(path: string, body: unknown): Promise<any> {
    const response = await fetch(this.url + path, { method: "POST", body: JSON.stringify(body) });
    return await response.json();
  }

  /** The values of a metric, one for each set of labels. */
  async metric(name: string): Promise<number[]> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    if (lines.length === 0) throw new Error(`There is no metric ${name}`);
    return lines.map((line) => Number(line.split(" ").at(-1)));
  }

  /** Waits until no block is in use and nothing runs or waits. */
  async untilIdle(): Promise<void> {
    await until(async () => {
      const values = [
        ...await this.metric("ebb_kv_blocks_used"),
        ...await this.metric("ebb_num_requests_running"),
        ...await this.metric("ebb_num_requests_waiting"),
      ];
      return values.every((value) => value === 0);
    }, "an idle server");
  }

  /** Has the engine of a server of {@link startMortal} lose its device, or its thread die. */
  async harm(how: "lose" | "die"): Promise<void> {
    const writer = this.process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${how}\n`));
    writer.releaseLock();
    this.#isHarmed = true;
  }

  /** Asks the server to stop and waits for its end. */
  async stop(): Promise<ProcessEnd> {
    this.process.kill("SIGTERM");
    return await this.end();
  }

  /** Waits for its end. */
  async end(): Promise<ProcessEnd> {
    if (this.#isHarmed) await this.process.stdin.close();
    const { code } = await this.process.status;
    const [stdout, stderr] = await Promise.all(this.printed);
    return { code, stdout, stderr };
  }
}
