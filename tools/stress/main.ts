/** @file `deno task stress`: what a server has to bear. */
import { runProgram } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { fuzz } from "./fuzz.ts";
import { soak } from "./soak.ts";

const USAGE = `Usage: deno task stress fuzz [REQUESTS [CLIENTS]]   wrong requests; default: 20000 8
       deno task stress soak [REQUESTS [CLIENTS]]   many at once, some of which are broken off; default: 2000 64

Further arguments go to main.ts serve.`;

const MAIN = new URL("../../main.ts", import.meta.url).href;

/** Starts a server of the embedded model and waits until it listens. */
async function startServer(args: readonly string[]) {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "serve", "--port", "0", "--log-level", "error", ...args],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  const url = /http:\/\/\S+/.exec(value)?.[0];
  if (url === undefined) throw new Error("The server did not start");
  return {
    url,
    pid: process.pid,
    async stop() {
      process.kill("SIGTERM");
      await reader.cancel();
      return (await process.status).code;
    },
  };
}

async function main([what, ...args]: readonly string[]): Promise<number> {
  if (what !== "fuzz" && what !== "soak") {
    throw new ExitError(
      "usage",
      `${what === undefined ? "A word is missing" : `"${what}" is unknown`}: expected fuzz or soak`,
    );
  }
  const numbers = args.slice(0, 2).filter((arg) => /^\d+$/.test(arg));
  const [count, clients] = numbers.map(Number);
  // An answer without a limit goes on to the end of the context: it must not look like one that hangs.
  const short = what === "fuzz" ? ["--context", "512"] : [];
  const server = await startServer([...short, ...args.slice(numbers.length)]);
  const begun = performance.now();
  try {
    switch (what) {
      case "fuzz": {
        const send = (path: string, init: RequestInit) => fetch(server.url + path, init);
        const { findings, statuses } = await fuzz({
          count: count || 20_000,
          clients: clients || 8,
          seed: Date.now(),
          send,
          // Beside the others, and on a machine that has other things to do.
          patienceMilliseconds: 60_000,
        });
        for (const { path, body, why } of findings) console.log(`${path} ${body.slice(0, 500)}\n  ${why}`);
        const counts = [...statuses].sort().map(([status, count]) => `${count} times ${status}`).join(", ");
        console.log(`${findings.length} findings; ${counts}`);
        return findings.length === 0 ? 0 : 1;
      }
      case "soak": {
        const report = await soak({
          url: server.url,
          pid: server.pid,
          requests: count || 2000,
          clients: clients || 64,
          abortShare: 1 / 3,
          seed: Date.now(),
          maxTokens: 32,
        });
        for (const line of report.wrong) console.log(line);
        console.log(JSON.stringify({ ...report, wrong: report.wrong.length }, null, 2));
        return report.wrong.length === 0 && Object.values(report.left).every((value) => value === 0) ? 0 : 1;
      }
    }
  } finally {
    console.log(`${Math.round((performance.now() - begun) / 1000)} s; the server ended with ${await server.stop()}`);
  }
}

if (import.meta.main) await runProgram(USAGE, main);
