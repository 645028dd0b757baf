import assert from "node:assert/strict";
import { closingLine } from "../../tools/test.ts";

const SUMMARIES: Record<string, string | undefined> = {
  "ok | 12 passed | 0 failed (4s)": "12 passed, 0 failed, 0 skipped",
  "ok | 12 passed | 0 failed | 3 ignored (1m2s)": "12 passed, 0 failed, 3 skipped",
  "FAILED | 1 passed (1 step) | 1 failed | 1 ignored (1 step) (31ms)": "1 passed, 1 failed, 1 skipped",
  "FAILED | 5 passed (20 steps) | 2 failed (3 steps) (31ms)": "5 passed, 2 failed, 0 skipped",
  "ok | 1 passed | 0 failed | 4 filtered out (31ms)": "1 passed, 0 failed, 0 skipped",
  "a test prints: 7 passed | 7 failed\nok | 1 passed | 0 failed (31ms)": "1 passed, 0 failed, 0 skipped",
  "error: Type checking failed.": undefined,
};

for (const [summary, expected] of Object.entries(SUMMARIES)) {
  Deno.test(`The closing line of "${summary.replaceAll("\n", " / ")}" is ${expected ?? "not made up"}`, () => {
    assert.equal(closingLine(`running 3 tests from ./a_test.ts\n${summary}\n`), expected);
  });
}
