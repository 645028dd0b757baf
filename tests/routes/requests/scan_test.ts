import assert from "node:assert/strict";
import { BODY_LIMITS, JsonScanner } from "../../../src/routes/requests/scan.ts";

const encoder = new TextEncoder();

/** Scans a text in pieces of `size` bytes. */
function scan(text: string, size = Infinity): void {
  const scanner = new JsonScanner();
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
}

/** Texts with as many of something as their argument says. */
const TEXTS: Record<keyof typeof BODY_LIMITS, (count: number) => string> = {
  depth: (count) => "[".repeat(count) + "]".repeat(count),
  containers: (count) => `[${Array(count - 1).fill("{}").join()}]`,
  values: (count) => `[${Array(count).fill("1").join()}]`,
  strings: (count) => `[${Array(count).fill('"a"').join()}]`,
  keyBytes: (count) => `{"${"k".repeat(count)}":1}`,
  escapes: (count) => `"${"\\n".repeat(count)}"`,
};

for (const [what, limit] of Object.entries(BODY_LIMITS) as [keyof typeof BODY_LIMITS, number][]) {
  Deno.test(`a text may hold ${limit} ${what}, and no more, however it is cut into pieces`, () => {
    for (const size of [1000, 4097, Infinity]) {
      scan(TEXTS[what](limit), size);
      assert.throws(() => scan(TEXTS[what](limit + 1), size), {
        name: "HttpError",
        status: 400,
        code: "request_too_complex",
        message: new RegExp(`^The request body holds more than ${limit} `),
      });
    }
  });
}

Deno.test("what stands in texts does not count, wherever quotes and backslashes are cut", () => {
  const nasty = JSON.stringify({ 'a"[': `${'[{\\",:'.repeat(200)}\\`, b: "\u2028é😀\\" });
  assert.deepEqual(JSON.parse(nasty), { 'a"[': `${'[{\\",:'.repeat(200)}\\`, b: "\u2028é😀\\" });
  for (const size of [1, 2, 3, 7, 100]) scan(`[${nasty},${nasty}]`, size);
  // The text ends where it ends: what follows counts again.
  assert.throws(() => scan(`["\\\\",${"[".repeat(BODY_LIMITS.depth)}`, 1), { code: "request_too_complex" });
});
