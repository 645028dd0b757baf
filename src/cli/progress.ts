/** @file Shows how far loading a model has come, on standard error. */
import type { LoadProgress } from "../engine/messages.ts";
import { formatBytes } from "./units.ts";

/** Where progress is shown. */
export interface ProgressOutput {
  write(text: string): void;
  /** Width in characters of a terminal that can rewrite its line; undefined for files, pipes and dumb terminals. */
  columns(): number | undefined;
  /** Milliseconds. */
  now(): number;
}

const STAGES = { tensors: "Loading tensors", shaders: "Compiling shaders" };

/** Least milliseconds between two states shown: what an eye can follow, what a log can bear. */
const TERMINAL_INTERVAL = 100;
const LOG_INTERVAL = 5000;

/**
 * Returns a function that shows a state: on a terminal as one line that is rewritten, elsewhere as a few plain lines.
 * The end of each stage is always shown.
 */
export function progressDisplay(output: ProgressOutput = standardError): (progress: LoadProgress) => void {
  let shownAt = -Infinity;
  return (progress) => {
    const columns = output.columns();
    const isLast = progress.done === progress.total;
    const now = output.now();
    if (!isLast && now - shownAt < (columns === undefined ? LOG_INTERVAL : TERMINAL_INTERVAL)) return;
    shownAt = isLast ? -Infinity : now;
    if (columns === undefined) {
      output.write(`${describe(progress)}\n`);
    } else {
      output.write(`\r\x1b[K${describe(progress).slice(0, columns - 1)}${isLast ? "\n" : ""}`);
    }
  };
}

function describe({ stage, done, total, bytes, totalBytes }: LoadProgress): string {
  const size = bytes === undefined || totalBytes === undefined
    ? ""
    : ` (${formatBytes(bytes)} of ${formatBytes(totalBytes)})`;
  return `${STAGES[stage]}: ${done} of ${total}${size}`;
}

const standardError: ProgressOutput = {
  write: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
  columns: () => Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" ? Deno.consoleSize().columns : undefined,
  now: () => performance.now(),
};
