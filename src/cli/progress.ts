/** @file Shows how far loading a model, or asking it questions, has come, on standard error. */
import type { LoadProgress } from "../contract/engine.ts";
import { formatBytes } from "./units.ts";

/** Where progress is shown. */
export interface ProgressOutput {
  write(text: string): void;
  /** Width in characters of a terminal that can rewrite its line; undefined for files, pipes and dumb terminals. */
  columns(): number | undefined;
  /** Milliseconds. */
  now(): number;
}

const STAGES = { tensors: "Loading tensors", shaders: "Compiling shaders", kernels: "Warming up kernels" };

/** Least milliseconds between two states shown: what an eye can follow, what a log can bear. */
const TERMINAL_INTERVAL = 100;
const LOG_INTERVAL = 5000;

/** A state: how much of how much is done. */
interface Progress {
  readonly done: number;
  readonly total: number;
}

/**
 * Returns a function that shows a state: on a terminal as one line that is rewritten, elsewhere as a few plain lines.
 * The end of each stage is always shown.
 */
export function progressDisplay(output: ProgressOutput = standardError): (progress: LoadProgress) => void {
  return display(output, describe);
}

/** Returns a function that shows how many of how many questions were asked, and the time that the others will take. */
export function questionProgress(output: ProgressOutput = standardError): (done: number, total: number) => void {
  const startedAt = output.now();
  const show = display(output, ({ done, total }) => {
    const left = (output.now() - startedAt) / done * (total - done);
    return `${done} of ${total} questions asked, ${formatMinutes(left)} left`;
  });
  return (done, total) => show({ done, total });
}

/** Returns a function that shows how many of how many bytes have come, how fast, and the time that the others will take. */
export function transferProgress(
  what: string,
  output: ProgressOutput = standardError,
): (done: number, total: number) => void {
  let start: { readonly at: number; readonly done: number } | undefined;
  const show = display(output, ({ done, total }) => {
    // What an earlier run brought says nothing of how fast this one is.
    start ??= { at: output.now(), done };
    const speed = (done - start.done) / (output.now() - start.at) * 1000;
    const pace = speed > 0 ? `, ${formatBytes(Math.round(speed))}/s` : "";
    const left = speed > 0 && done < total ? `, ${formatMinutes((total - done) / speed * 1000)} left` : "";
    return `${what}: ${formatBytes(done)} of ${formatBytes(total)}${pace}${left}`;
  });
  return (done, total) => show({ done, total });
}

function display<State extends Progress>(
  output: ProgressOutput,
  describe: (state: State) => string,
): (state: State) => void {
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
      // Some terminals do not know how wide they are, and say 0.
      const line = columns > 0 ? describe(progress).slice(0, columns - 1) : describe(progress);
      output.write(`\r\x1b[K${line}${isLast ? "\n" : ""}`);
    }
  };
}

function describe({ stage, done, total, bytes, totalBytes }: LoadProgress): string {
  const size = bytes === undefined || totalBytes === undefined
    ? ""
    : ` (${formatBytes(bytes)} of ${formatBytes(totalBytes)})`;
  return `${STAGES[stage]}: ${done} of ${total}${size}`;
}

/** Such as `7 min`, or `40 s` if it is less than two minutes. */
function formatMinutes(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

const standardError: ProgressOutput = {
  write: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
  columns: () => Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" ? Deno.consoleSize().columns : undefined,
  now: () => performance.now(),
};
