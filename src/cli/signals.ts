/** @file How the server reacts to SIGINT and SIGTERM. */
import { EXIT_CODES } from "./exit_codes.ts";

const EXIT_CODE_OF = { SIGINT: EXIT_CODES.interrupted.code, SIGTERM: EXIT_CODES.terminated.code };

/** Milliseconds within which signals are one: npx forwards the interrupt that the terminal has sent to all anyway. */
const SAME_SIGNAL = 300;

/** Resolves with the first signal that asks the process to stop; a later one ends it at once. */
export function firstStopSignal(): Promise<keyof typeof EXIT_CODE_OF> {
  const { promise, resolve } = Promise.withResolvers<keyof typeof EXIT_CODE_OF>();
  let firstAt: number | undefined;
  // Windows knows no SIGTERM.
  for (const signal of Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      firstAt ??= performance.now();
      resolve(signal);
      if (performance.now() - firstAt > SAME_SIGNAL) Deno.exit(EXIT_CODE_OF[signal]);
    });
  }
  return promise;
}
