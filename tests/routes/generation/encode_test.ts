import assert from "node:assert/strict";
import type { RouteContext } from "../../../src/routes/context.ts";
import { encodeTexts } from "../../../src/routes/generation/encode.ts";
import type { EncodeTask } from "../../../src/text/text_processor.ts";

/** A context whose text processor waits until it is told that nobody waits for it. */
function context(seen: EncodeTask[]): RouteContext {
  return {
    engine: { model: { contextLength: 4096 } },
    text: {
      encode: (_text: string, task: EncodeTask) => {
        seen.push(task);
        return new Promise((_, reject) => task.signal!.addEventListener("abort", () => reject(task.signal!.reason)));
      },
    },
  } as unknown as RouteContext;
}

Deno.test("A prompt is encoded for its client only, under the model's limit, with the marks of its template", async () => {
  const seen: EncodeTask[] = [];
  const client = new AbortController();
  const task = { field: "messages", client: client.signal, options: { plainRanges: [0, 1] } };
  const encoding = encodeTexts(context(seen), ["a", "b"], task);
  assert.deepEqual(seen, [{ plainRanges: [0, 1], limit: { tokens: 4096, field: "messages" }, signal: client.signal }]);
  client.abort("The connection was closed");
  await assert.rejects(encoding, { name: "HttpError", status: 499 });
});
