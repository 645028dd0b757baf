import assert from "node:assert/strict";
import { withFile } from "../support/files.ts";

/** Prints the owner of each key that a line of standard input holds; tells on standard output that it has read the file again. */
const SCRIPT = `
  import { openApiKeys } from "${new URL("../../src/cli/api_keys.ts", import.meta.url)}";
  const keys = await openApiKeys({ apiKey: "single", apiKeyFile: Deno.args[0] }, (line) => console.log(line));
  console.log("ready");
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    console.log(keys.ownerOf(line.trim())?.name ?? "nobody");
  }
  Deno.exit(0);
`;

Deno.test({
  name: "a file of keys is read again on SIGHUP; one that cannot be used changes nothing",
  ignore: Deno.build.os === "windows", // It has no such signal.
  fn: () =>
    withFile('{"alice": "one"}', async (path) => {
      const process = new Deno.Command(Deno.execPath(), {
        args: ["eval", "--ext=ts", SCRIPT, path],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const writer = process.stdin.getWriter();
      const nextLine = async () => (await reader.read()).value!.trim();
      const ownerOf = async (key: string) => {
        await writer.write(new TextEncoder().encode(`${key}\n`));
        return await nextLine();
      };
      const reload = async (content: string) => {
        await Deno.writeTextFile(path, content);
        process.kill("SIGHUP");
        return await nextLine();
      };
      assert.equal(await nextLine(), "ready");
      assert.deepEqual([await ownerOf("one"), await ownerOf("single")], ["alice", "--api-key"]);
      assert.match(await reload('{"bob": "two"}'), /2 keys are valid/);
      assert.deepEqual([await ownerOf("one"), await ownerOf("two"), await ownerOf("single")], [
        "nobody",
        "bob",
        "--api-key",
      ]);
      assert.match(await reload("{"), /not valid JSON; the keys stay as they were/);
      assert.equal(await ownerOf("two"), "bob");
      await writer.close();
      await reader.cancel();
      await process.status;
    }, "keys.json"),
});
