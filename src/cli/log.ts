/** @file The server's log on standard error, one line an entry. */
import type { LogEntry } from "../routes/app.ts";

/** How a line is written. */
export const LOG_FORMATS = ["json", "text"] as const;

/** From which level on lines are written; `none` writes none. */
export const LOG_LEVELS = ["info", "error", "none"] as const;

/** Takes an entry. */
export type Log = (entry: LogEntry) => void;

/** @param write takes a line without its end */
export function createLog(
  format: (typeof LOG_FORMATS)[number],
  level: (typeof LOG_LEVELS)[number],
  write: (line: string) => void = console.error,
): Log {
  return (entry) => {
    if (LOG_LEVELS.indexOf(entry.level) < LOG_LEVELS.indexOf(level)) return;
    write(format === "json" ? JSON.stringify(entry) : textLine(entry));
  };
}

/** `2026-01-02T03:04:05.678Z info request method=GET path=/health status=200` */
function textLine({ time, level, event, ...details }: LogEntry): string {
  const fields = Object.entries(details).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${plain(value)}`);
  return [time, level, event, ...fields].join(" ");
}

/** Without quotes where nothing can be mistaken. */
function plain(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
