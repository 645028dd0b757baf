import assert from "node:assert/strict";
import { systemReason } from "../../src/formats/system_reason.ts";

Deno.test("systemReason() is what the system says, without its number and the call", () => {
  const reasonOf = (message: string) => systemReason(new Error(message));
  assert.equal(reasonOf("Permission denied (os error 13): open '/a (b)/c'"), "Permission denied");
  assert.equal(reasonOf("No space left on device (os error 28)"), "No space left on device");
  assert.equal(reasonOf("Unexpected end of JSON input"), "Unexpected end of JSON input");
});

Deno.test("systemReason() knows the errors of this Deno", () => {
  try {
    Deno.readTextFileSync("/no/such/file");
    assert.fail("there is one");
  } catch (error) {
    assert.equal(systemReason(error), "No such file or directory");
  }
});
