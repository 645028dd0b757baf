/** @file A copy of the project in which a page is followed, and the server that its commands call. */
import { fileURLToPath } from "node:url";
import { edited, parseEdits } from "./edits.ts";

const ROOT = new URL("../../../", import.meta.url);

/** What nobody follows a page for; figures and results are large. */
const LEFT_OUT = new Set([".git", "node_modules", "bench/results", "bench/out", "docs/figures"]);

/** The address that pages write. */
const WRITTEN_ADDRESS = /(localhost|127\.0\.0\.1):8000/g;

export class Workshop {
  /** Files that the page has written or edited, from the project's root. */
  readonly touched = new Set<string>();
  #server: { readonly process: Deno.ChildProcess; readonly host: string } | null = null;

  private constructor(readonly directory: string) {}

  /**
   * Copies the project.
   *
   * @param usesNpx whether `npx -y deno@VERSION` fetches that Deno; else it is the one that runs the tests
   */
  static async open({ usesNpx = false } = {}): Promise<Workshop> {
    const directory = await Deno.makeTempDir({ prefix: "ebb-test-" });
    await copyInto(directory, "");
    await Deno.mkdir(`${directory}/.bin`);
    await Deno.symlink(Deno.execPath(), `${directory}/.bin/deno`);
    if (!usesNpx) {
      const shim = `#!/bin/sh\nshift 2\nexec "${Deno.execPath()}" "$@"\n`;
      await Deno.writeTextFile(`${directory}/.bin/npx`, shim, { mode: 0o755 });
    }
    return new Workshop(directory);
  }

  async writeFile(path: string, content: string): Promise<void> {
    const file = `${this.directory}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, content);
    this.touched.add(path);
  }

  /** Makes the edits of a diff. */
  async edit(diff: string): Promise<void> {
    for (const edit of parseEdits(diff)) {
      const source = await Deno.readTextFile(`${this.directory}/${edit.path}`);
      await this.writeFile(edit.path, edited(source, edit));
    }
  }

  /**
   * Runs commands in bash and returns what they print.
   *
   * @throws {Error} with all that they wrote, if one fails
   */
  async run(commands: string): Promise<string> {
    const { code, stdout, stderr } = await this.#bash(commands).output();
    const [printed, complaints] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    if (code !== 0) throw new Error(`${commands}ended with exit code ${code}:\n${printed}${complaints}`);
    return printed;
  }

  /** Runs Deno. */
  runDeno(...args: readonly string[]): Promise<string> {
    return this.run(`${["deno", ...args].map((arg) => `'${arg}'`).join(" ")}\n`);
  }

  /** Starts a server on a free port, and waits until it listens. */
  async startServer(command: string): Promise<void> {
    const process = this.#bash(command, true).spawn();
    const complaints = new Response(process.stderr).text();
    const lines = process.stdout.pipeThrough(new TextDecoderStream());
    let printed = "";
    for await (const text of lines.values({ preventCancel: true })) {
      printed += text;
      const host = /^Listening on http:\/\/(\S+)\n/m.exec(printed)?.[1];
      if (host === undefined) continue;
      this.#server = { process, host };
      this.#closing = async () => {
        // npx and a shell end without a word to what they have started: the signal goes to the whole group.
        Deno.kill(-process.pid, "SIGTERM");
        await Promise.all([process.status, complaints, lines.cancel()]);
      };
      return;
    }
    await process.status;
    throw new Error(`${command}listens nowhere:\n${printed}${await complaints}`);
  }

  #closing: () => Promise<void> = () => Promise.resolve();

  /** Ends the server and removes the copy. */
  async close(): Promise<void> {
    await this.#closing();
    await Deno.remove(this.directory, { recursive: true });
  }

  /** A page's text with the server's own address in it. */
  addressed(text: string): string {
    return this.#server === null ? text : text.replaceAll(WRITTEN_ADDRESS, this.#server.host);
  }

  #bash(commands: string, detached = false): Deno.Command {
    const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("EBB_"));
    return new Deno.Command("bash", {
      args: ["-euo", "pipefail", "-c", this.addressed(commands)],
      cwd: this.directory,
      env: {
        ...Object.fromEntries(inherited),
        PATH: `${this.directory}/.bin:${Deno.env.get("PATH")}`,
        EBB_PORT: "0",
        NO_COLOR: "1",
      },
      clearEnv: true,
      detached,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }
}

async function copyInto(target: string, folder: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + name;
    if (LEFT_OUT.has(path)) continue;
    if (isDirectory) {
      await Deno.mkdir(`${target}/${path}`);
      await copyInto(target, `${path}/`);
    } else await Deno.copyFile(fileURLToPath(new URL(path, ROOT)), `${target}/${path}`);
  }
}
