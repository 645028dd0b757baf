import assert from "node:assert/strict";
import { WaitingLine } from "../../src/engine/waiting_line.ts";

/** Lines members up by their priorities, and lets all of them in. */
function order(...priorities: (number | undefined)[]): number[] {
  const line = new WaitingLine<{ readonly at: number; readonly request: { readonly priority?: number } }>();
  priorities.forEach((priority, at) => line.add({ at, request: { priority } }));
  const order: number[] = [];
  for (let next = line.first; next !== undefined; next = line.first) {
    order.push(next.at);
    line.remove(next);
  }
  assert.equal(line.length, 0);
  return order;
}

Deno.test("WaitingLine lets in the lowest priority first, and equal ones as they came", () => {
  assert.deepEqual(order(), []);
  assert.deepEqual(order(undefined, 0, undefined), [0, 1, 2]);
  assert.deepEqual(order(5, undefined, -1, 5, 0, -1, 4), [2, 5, 1, 4, 6, 0, 3]);
  assert.deepEqual(order(3, 2, 1), [2, 1, 0]);
  assert.deepEqual(order(1, undefined, 0), [1, 2, 0]);
});

Deno.test("WaitingLine forgets whoever leaves it, and minds nobody who is not in it", () => {
  const line = new WaitingLine();
  const [one, other] = [{ request: { priority: 1 } }, { request: { priority: 0 } }];
  line.add(one);
  line.add(other);
  line.remove(other);
  line.remove({ request: {} });
  assert.equal(line.first, one);
  assert.equal(line.length, 1);
});
