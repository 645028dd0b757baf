import assert from "node:assert/strict";
import { ApiKeys } from "../../../src/routes/access/api_keys.ts";
import { KeyFileError, readKeyFile } from "../../../src/routes/access/key_file.ts";
import type { LogEntry } from "../../../src/routes/app.ts";
import { withFile } from "../../support/files.ts";
import { readError, startApp } from "../harness.ts";

Deno.test("a key is its owner's, until others are valid", () => {
  const keys = new ApiKeys([{ name: "a", key: "one" }, { name: "b", key: "two", requestsPerMinute: 3 }]);
  assert.equal(keys.areAskedFor, true);
  assert.deepEqual(keys.ownerOf("one"), { name: "a" });
  assert.deepEqual(keys.ownerOf("two"), { name: "b", requestsPerMinute: 3 });
  for (const wrong of ["", "on", "one ", "onee", "ONE"]) assert.equal(keys.ownerOf(wrong), null);
  keys.replace([{ name: "c", key: "three" }]);
  assert.equal(keys.ownerOf("one"), null);
  assert.deepEqual(keys.ownerOf("three"), { name: "c" });
});

Deno.test("a file of keys holds names with keys, and limits of their own", async () => {
  const content = '{"alice": "sk-1", "bob": {"key": "sk-2", "requests-per-minute": 60}}';
  assert.deepEqual(await withFile(content, readKeyFile), [
    { name: "alice", key: "sk-1" },
    { name: "bob", key: "sk-2", requestsPerMinute: 60 },
  ]);
});

for (
  const [content, words] of [
    ["{", /not valid JSON/],
    ['["sk"]', /object of names and keys/],
    ["{}", /at least one key/],
    ['{"alice": "s k"}', /the key of "alice" must be/],
    ['{"alice": null}', /the key of "alice" must be/],
    ['{"alice": {"key": "x", "requests-per-minute": 0}}', /requests-per-minute of "alice" must be .* not 0/],
    ['{"alice": "same", "bob": "same"}', /the key of "bob" is another one's/],
  ] as const
) {
  Deno.test(`a file of keys is refused in words without a key: ${content}`, async () => {
    await withFile(content, (path) =>
      assert.rejects(readKeyFile(path), (error: Error) => {
        assert.ok(error instanceof KeyFileError);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /"s k"|same"/);
        return true;
      }));
  });
}

Deno.test("the log names the owner of a key, and replaced keys count at once", async () => {
  const lines: LogEntry[] = [];
  const apiKeys = new ApiKeys([{ name: "alice", key: "sk-1" }]);
  const { app } = startApp({ tokens: [] }, { apiKeys, log: (entry) => lines.push(entry) });
  const read = (headers: Record<string, string>) => app.request("/v1/models", { headers });
  assert.equal((await read({ authorization: "Bearer sk-1" })).status, 200);
  assert.equal((await read({ "x-api-key": "sk-1" })).status, 200);
  assert.deepEqual(lines.map(({ key }) => key), ["alice", "alice"]);
  apiKeys.replace([{ name: "alice", key: "sk-2" }]);
  assert.equal((await readError(await read({ authorization: "Bearer sk-1" }))).code, "invalid_api_key");
});
