import assert from "node:assert/strict";
import { Hono } from "hono";
import { longJson, LongList } from "../../src/routes/long_json.ts";

/** A reply of these members, as an application gives it. */
async function replyOf(members: Readonly<Record<string, unknown>>): Promise<Response> {
  const app = new Hono();
  app.get("/", (c) => {
    c.header("x-request-id", "a");
    return longJson(c, members);
  });
  return await app.request("/");
}

/** The pieces in which a reply comes. */
async function piecesOf(response: Response): Promise<string[]> {
  const decoder = new TextDecoder();
  return await Array.fromAsync(response.body!, (bytes) => decoder.decode(bytes));
}

Deno.test("longJson() writes what JSON.stringify() would, no long list in one piece", async () => {
  const numbers = Uint32Array.from({ length: 20_000 }, (_, i) => i * 7);
  const texts = ['"', "é😀", "\n", ""];
  const pieces = await piecesOf(
    await replyOf({
      count: 3,
      'odd "name"': null,
      left_out: undefined,
      numbers: new LongList(numbers),
      squares: new LongList(numbers.subarray(0, 8193), (n) => ({ n, square: n * n })),
      texts: new LongList([0, 1, 2, 3], (i) => texts[i]),
      none: new LongList([]),
      object: { a: [1] },
    }),
  );
  const expected = {
    count: 3,
    'odd "name"': null,
    numbers: [...numbers],
    squares: Array.from(numbers.subarray(0, 8193), (n) => ({ n, square: n * n })),
    texts,
    none: [],
    object: { a: [1] },
  };
  assert.equal(pieces.join(""), JSON.stringify(expected));
  for (const piece of pieces) assert.ok(piece.split(",").length <= 2 * 8192 + 1);
});

Deno.test("longJson() writes an object of nothing", async () => {
  const response = await replyOf({ left_out: undefined });
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.equal(response.headers.get("x-request-id"), "a", "what others have set is there");
  assert.equal(await response.text(), "{}");
});

Deno.test("longJson() works no further for a client that has gone", async () => {
  let written = 0;
  const { body } = await replyOf({ list: new LongList(new Uint32Array(1_000_000), () => written++) });
  const reader = body!.getReader();
  await reader.read();
  await reader.cancel();
  const before = written;
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(written, before);
  assert.ok(written < 1_000_000);
});
