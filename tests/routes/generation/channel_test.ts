import assert from "node:assert/strict";
import { Channel } from "../../../src/routes/generation/channel.ts";

Deno.test("Channel keeps the order, and what was pushed before its end", async () => {
  const channel = new Channel<number>();
  channel.push(1);
  channel.push(2);
  const read: number[] = [];
  const reader = (async () => {
    for await (const value of channel) {
      read.push(value);
      // Pushed while the reader is busy, before it waits again.
      if (value === 2) channel.push(3);
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(read, [1, 2, 3]);
  channel.push(4);
  channel.close();
  channel.push(5);
  await reader;
  assert.deepEqual(read, [1, 2, 3, 4]);
});

Deno.test("Channel fails only after what was pushed, and only the first end counts", async () => {
  const channel = new Channel<string>();
  channel.push("a");
  channel.fail(new Error("first"));
  channel.fail(new Error("second"));
  channel.close();
  const values = channel[Symbol.asyncIterator]();
  assert.deepEqual(await values.next(), { value: "a", done: false });
  await assert.rejects(values.next(), /first/);
});
