/** @file A process with a time limit whose lines are followed: what crashes or hangs in it takes nothing else along. */

export interface ProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it runs; here if not given. */
  readonly directory?: string;
  readonly seconds: number;
  readonly onLine: (line: string) => void;
  /** Takes lines of standard error; they are also kept for the outcome. */
  readonly onErrorLine?: (line: string) => void;
  /** Ends the process at once. */
  readonly signal: AbortSignal;
}

export interface ProcessOutcome {
  readonly status: "done" | "failed" | "out of time" | "interrupted";
  /** Of a failure: the exit code or signal, and the end of standard error. */
  readonly error?: string;
}

/** Characters of standard error that are worth keeping. */
const ERROR_TAIL = 2000;

/** Runs a process to its end or its limit. Its standard input stays open while this process lives: see stage.ts. */
export async function runProcess(options: ProcessOptions): Promise<ProcessOutcome> {
  const { command, args, directory, seconds, signal } = options;
  if (signal.aborted) return { status: "interrupted", error: "It was not started" };
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(command, {
      args: [...args],
      cwd: directory,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return { status: "failed", error: `${command} cannot be started: ${(error as Error).message}` };
  }
  let ended: "out of time" | "interrupted" | null = null;
  const kill = (reason: "out of time" | "interrupted") => {
    ended ??= reason;
    try {
      // Nothing milder: a thread that waits for the GPU hears no other signal.
      process.kill("SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  };
  const interrupt = () => kill("interrupted");
  signal.addEventListener("abort", interrupt);
  const timer = setTimeout(() => kill("out of time"), Math.max(0, seconds) * 1000);
  let tail = "";
  const [{ success, code, signal: endedBy }] = await Promise.all([
    process.status,
    eachLine(process.stdout, options.onLine),
    eachLine(process.stderr, (line) => {
      tail = `${tail}${line}\n`.slice(-ERROR_TAIL);
      options.onErrorLine?.(line);
    }),
  ]);
  clearTimeout(timer);
  signal.removeEventListener("abort", interrupt);
  await process.stdin.close().catch(() => {});
  if (ended === "out of time") return { status: ended, error: `It was ended after ${Math.round(seconds)} s` };
  if (ended !== null) return { status: ended };
  if (success) return { status: "done" };
  const cause = endedBy === null ? `exit code ${code}` : endedBy;
  return { status: "failed", error: `It ended with ${cause}${tail && `: ${tail.trim()}`}` };
}

async function eachLine(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    lines.forEach(onLine);
  }
  if (rest) onLine(rest);
}
