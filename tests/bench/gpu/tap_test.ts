/** @file Reading the results of `deno test`. */
import assert from "node:assert/strict";
import { TapReader } from "../../../bench/gpu/tap.ts";

/** What Deno 2.9 said of a file with these tests. */
const OUTPUT = `TAP version 14
# ../tap_test.ts
ok 1 - fine
not ok 2 - bad \\# one
  ---
  {"message":"Error: x\\ny\\n\\u001b[0m\\u001b[31m    ^\\u001b[0m","severity":"fail","at":{"file":"tap_test.ts","line":1}}
  ...
ok 3 - left out # SKIP
ok 4 - ok 7 - not ok 8
1..4`;

Deno.test("TapReader counts what passed and what was left out, and keeps why what failed did", () => {
  const reader = new TapReader();
  for (const line of OUTPUT.split("\n")) reader.read(line);
  assert.equal(reader.passed, 2);
  assert.equal(reader.skipped, 1);
  assert.deepEqual(reader.failures, [{ name: "bad # one", message: "Error: x\ny\n    ^" }]);
});

Deno.test("TapReader knows a failure whose message never came", () => {
  const reader = new TapReader();
  reader.read("not ok 1 - cut off");
  assert.deepEqual(reader.failures, [{ name: "cut off", message: "" }]);
});
