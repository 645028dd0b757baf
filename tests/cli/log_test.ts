import assert from "node:assert/strict";
import { createLog } from "../../src/cli/log.ts";

const INFO = {
  time: "2026-01-02T03:04:05.678Z",
  level: "info",
  event: "request",
  path: "/health",
  status: 200,
} as const;
const ERROR = {
  time: "2026-01-02T03:04:06.000Z",
  level: "error",
  event: "internal_error",
  error: "two words",
} as const;

function linesOf(format: "json" | "text", level: "info" | "error" | "none"): string[] {
  const lines: string[] = [];
  const log = createLog(format, level, (line) => lines.push(line));
  log(INFO);
  log(ERROR);
  return lines;
}

Deno.test("a log's lines are JSON, or text in which what has spaces is quoted", () => {
  assert.deepEqual(linesOf("json", "info").map((line) => JSON.parse(line)), [INFO, ERROR]);
  assert.deepEqual(linesOf("text", "info"), [
    "2026-01-02T03:04:05.678Z info request path=/health status=200",
    '2026-01-02T03:04:06.000Z error internal_error error="two words"',
  ]);
});

Deno.test("a log's level leaves out what is less", () => {
  assert.equal(linesOf("json", "error").length, 1);
  assert.match(linesOf("text", "error")[0], /internal_error/);
  assert.deepEqual(linesOf("json", "none"), []);
});
