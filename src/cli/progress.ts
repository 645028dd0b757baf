/** @file Shows how far loading a model, reading a prompt or asking questions has come, on standard error. */
import type { LoadProgress } from "../contract/engine.ts";
import type { ComparisonProgress } from "../eval/comparison/compare.ts";
import { formatBytes, formatCount } from "./units.ts";
import type { ReadingProgress } from "./watch_reading.ts";

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
/** Milliseconds that a prompt is read before it is worth a word. */
const READING_PATIENCE = 1000;

/** Takes away what a terminal's line shows. */
const CLEAR_LINE = "\r\x1b[K";

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

/** Returns a function that shows how many of how many requests were answered, and the time that the others will take. */
export function requestProgress(output: ProgressOutput = standardError): (done: number, total: number) => void {
  const startedAt = output.now();
  const show = display(output, ({ done, total }) => {
    const left = (output.now() - startedAt) / done * (total - done);
    return `${done} of ${total} requests answered, ${formatMinutes(left)} left`;
  });
  return (done, total) => show({ done, total });
}

/**
 * Returns a function that shows how far a long prompt has been read, and how fast; null takes it away again, on a terminal.
 * Prompts that are soon read are not worth it.
 */
export function readingProgress(output: ProgressOutput = standardError): (progress: ReadingProgress | null) => void {
  const describe = readingClock(output);
  let line: string | undefined;
  let isShown = false;
  const show = display(output, () => line!);
  return (progress) => {
    line = describe(progress);
    if (line !== undefined) {
      isShown = true;
      show(progress!);
    } else if (progress === null) {
      if (isShown && output.columns() !== undefined) output.write(CLEAR_LINE);
      isShown = false;
    }
  };
}

/** Returns a function that describes a reading once it takes its time, by when it began. */
function readingClock({ now }: ProgressOutput): (progress: ReadingProgress | null) => string | undefined {
  let startedAt: number | undefined;
  return (progress) => {
    if (progress === null) {
      startedAt = undefined;
      return undefined;
    }
    startedAt ??= now();
    const milliseconds = now() - startedAt;
    const { done, total, read } = progress;
    if (milliseconds < READING_PATIENCE || done >= total) return undefined;
    const speed = Math.round(read / milliseconds * 1000);
    return `Reading the prompt: ${formatCount(Math.floor(done))} of ${formatCount(total)} tokens, ${
      formatCount(speed)
    } tokens/s`;
  };
}

/** Shows how far a comparison has come. */
export interface ComparisonDisplay {
  answered(progress: ComparisonProgress): void;
  /** Within a question whose prompt is long; null where none is being read. */
  reading(progress: ReadingProgress | null): void;
}

/** Shows how far a comparison has come, within a question too, and the time that the rest will take. */
export function comparisonProgress(output: ProgressOutput = standardError): ComparisonDisplay {
  const startedAt = output.now();
  const describeReading = readingClock(output);
  let reading: string | undefined;
  let last: Progress & ComparisonProgress | undefined;
  const show = display(output, ({ done, total, questions, allQuestions }: Progress & ComparisonProgress) => {
    const left = done === 0 ? "" : `, ${formatMinutes((output.now() - startedAt) / done * (total - done))} left`;
    const within = reading === undefined || done === total ? "" : `. ${reading}`;
    return `${questions} of ${allQuestions} questions asked (${done} of ${total} answers)${left}${within}`;
  });
  return {
    answered(progress) {
      last = { ...progress, done: progress.answers, total: progress.allAnswers };
      show(last);
    },
    reading(progress) {
      reading = describeReading(progress);
      if (reading !== undefined && last !== undefined && last.done < last.total) show(last);
    },
  };
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
      output.write(`${CLEAR_LINE}${line}${isLast ? "\n" : ""}`);
    }
  };
}

function describe({ stage, done, total, bytes, totalBytes }: LoadProgress): string {
  const size = bytes === undefined || totalBytes === undefined
    ? ""
    : ` (${formatBytes(bytes)} of ${formatBytes(totalBytes)})`;
  return `${STAGES[stage]}: ${done} of ${total}${size}`;
}

/** Such as `40 s` if it is less than two minutes, `7 min`, or `3 h` if it is more than three hours. */
export function formatMinutes(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 180 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

const standardError: ProgressOutput = {
  write: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
  columns: () => Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" ? Deno.consoleSize().columns : undefined,
  now: () => performance.now(),
};
