import assert from "node:assert/strict";
import { QueueFullError } from "../../src/contract/errors.ts";
import { FairQueue } from "../../src/text/fair_queue.ts";

const PLENTY = { items: 1000, cost: 1e9 };

function takeAll(queue: FairQueue<string>): string[] {
  const taken: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) taken.push(item);
  return taken;
}

Deno.test("Short items overtake long ones, and equal ones keep their order", () => {
  const queue = new FairQueue<string>(PLENTY);
  queue.add("long", 1000);
  queue.add("first", 10);
  queue.add("second", 10);
  assert.deepEqual(takeAll(queue), ["first", "second", "long"]);
});

Deno.test("A long item waits for no more than its own length of later ones", () => {
  const queue = new FairQueue<string>(PLENTY);
  queue.add("long", 100);
  let overtaken = 0;
  for (let i = 0; i < 100; i++) {
    queue.add("short", 10);
    if (queue.take() === "long") break;
    overtaken++;
  }
  assert.ok(overtaken > 0 && overtaken <= 10, `${overtaken}`);
});

Deno.test("Many items of one owner do not stand in front of another's one", () => {
  const queue = new FairQueue<string>(PLENTY);
  const [greedy, modest] = [{}, {}];
  for (let i = 0; i < 50; i++) queue.add(`greedy ${i}`, 10, greedy);
  queue.add("modest", 15, modest);
  assert.deepEqual(takeAll(queue).slice(0, 3), ["greedy 0", "modest", "greedy 1"]);
});

Deno.test("What is dropped is not taken, and makes room", () => {
  const queue = new FairQueue<string>({ items: 2, cost: 100 });
  queue.add("a", 60);
  queue.add("b", 10);
  assert.throws(() => queue.add("c", 1), QueueFullError);
  queue.drop("a");
  queue.drop("nobody");
  assert.throws(() => queue.add("c", 91), QueueFullError);
  queue.add("c", 90);
  assert.deepEqual(takeAll(queue), ["b", "c"]);
});
