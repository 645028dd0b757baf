/** @file The process's exit codes: the one place that defines them, for the program, `--help` and docs/cli.md. */

/** Why the process ended, for supervisors and scripts. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: "Finished, or drained after the first signal" },
  failure: { code: 1, meaning: "Failed while running, such as a port in use or a lost GPU" },
  usage: { code: 2, meaning: "Unknown command or flag, bad or missing value" },
  noAdapter: { code: 3, meaning: "No WebGPU adapter, and none could be installed" },
  modelUnusable: { code: 4, meaning: "Model file missing, damaged or not supported" },
  pluginUnusable: { code: 5, meaning: "Policy plugin missing, damaged or not supported" },
  interrupted: { code: 130, meaning: "Stopped at once by SIGINT (generate: the first, serve: the second)" },
  unheard: { code: 141, meaning: "Whoever read its output has gone, such as head" },
  terminated: { code: 143, meaning: "Stopped at once by SIGTERM (generate: the first, serve: the second)" },
} as const;

/** A failure that ends the process with a code of its own; the message is all that the user sees. */
export class ExitError extends Error {
  override name = "ExitError";
  constructor(readonly reason: keyof typeof EXIT_CODES, message: string) {
    super(message);
  }
}
