/** @file A server in a process of its own, for the browser to look at. */

export interface ServerProcess {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts `main.ts serve` on a free port. @throws {Error} with what it said, when it ends before it listens */
export async function startServer(flags: readonly string[]): Promise<ServerProcess> {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const args = ["run", "-A", main, "serve", "--port", "0", "--log-level", "info", ...flags];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" }).spawn();
  let said = "";
  const decoder = new TextDecoder();
  const found = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) {
      said += decoder.decode(chunk, { stream: true });
      const url = /http:\/\/[\w.]+:\d+/.exec(said)?.[0];
      if (url !== undefined) found.resolve(`${url}/`);
    }
  };
  const ended = Promise.all([read(child.stdout), read(child.stderr)]);
  ended.then(() => found.reject(new Error(`The server ended:\n${said}`)));
  return {
    url: await found.promise,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await ended;
    },
  };
}
