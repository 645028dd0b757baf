import assert from "node:assert/strict";
import { withBoundedLoops } from "../../../src/policy/loading/bounded_loops.ts";

/** Runs a script whose loops call a function that throws after a hundred calls; returns what it returns, or what was thrown. */
function run(code: string): unknown {
  let left = 100;
  const tick = () => {
    if (left-- <= 0) throw new Error("Over");
  };
  try {
    return new Function("__ebb_tick", withBoundedLoops(code))(tick);
  } catch (error) {
    return (error as Error).message;
  }
}

Deno.test("withBoundedLoops() leaves what code computes as it is, and each of its lines a line", () => {
  const code = `"use strict";
let sum = 0;
for (let i = 0; i < 5; i++) sum += i;
for (const x of [1, 2]) for (const y of [3, 4]) sum += x * y;
for (const key in { a: 1 }) { sum += key.length; }
let n = 3;
while (n > 0) n--;
do n++; while (n < 4)
const double = (x) => 2 * x, object = () => ({ value: double(sum) }), nested = (x) => (y) => x + y;
class Box { #x = 1; get x() { return this.#x; } add(y = (() => 2)()) { return this.x + y; } strict() { "use strict"; return this; } }
label: for (;;) { for (;;) break label; }
return [object().value, nested(1)(2), new Box().add(), n];`;
  assert.deepEqual(run(code), [2 * (10 + 21 + 1), 3, 3, 4]);
  // Strings that begin a function mean something, as long as nothing stands before them.
  assert.equal(run("return (function () { 'use strict'; return this; })();"), undefined);
  assert.equal(run("return (function () { 'a'; 'use strict'; return this; })();"), undefined);
  assert.equal(withBoundedLoops(code).split("\n").length, code.split("\n").length);
});

Deno.test("withBoundedLoops() ends every endless loop and recursion, and what tries to go on", () => {
  for (
    const code of [
      "for (;;);",
      "while (true) {}",
      "do ; while (true)",
      "for (let i = 0; ; i++) { continue; }",
      "for (;;) { try { for (;;); } catch {} }",
      "function f() { try { f(); } finally { f(); } } f();",
      "const f = (x) => f(x + 1); f(0);",
      "const endless = { *[Symbol.iterator]() { for (;;) yield 1; } }; for (const x of endless);",
      "[1].map(function g(x) { return [x].map(g); });",
    ]
  ) assert.equal(run(code), "Over", code);
});
