import assert from "node:assert/strict";
import { release } from "../../../tools/release/main.ts";
import { withDirectory } from "../../support/files.ts";
import project from "../../../deno.json" with { type: "json" };

/** Runs a command in a folder and returns what it printed. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a release is an archive for each platform, with an executable, and checksums that hold", () =>
  withDirectory({}, async (directory) => {
    const archives = await release(
      ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc"],
      directory,
      (target, output) => Deno.writeTextFile(output, `#!/bin/sh\necho ${target}\n`, { mode: 0o755 }),
    );
    const linux = `ebb-${project.version}-x86_64-unknown-linux-gnu`;
    const windows = `ebb-${project.version}-x86_64-pc-windows-msvc`;
    assert.deepEqual(archives, [`${linux}.tar.gz`, `${windows}.tar.gz`]);
    assert.equal(
      await run(directory, "sha256sum", "--check", "--strict", "SHA256SUMS"),
      `${linux}.tar.gz: OK\n${windows}.tar.gz: OK\n`,
    );

    for (const archive of archives) await run(directory, "tar", "-xzf", archive);
    assert.equal(await run(directory, `${directory}/${linux}/ebb`), "x86_64-unknown-linux-gnu\n");
    assert.match(await Deno.readTextFile(`${directory}/${windows}/ebb.exe`), /windows/);
    assert.match(await Deno.readTextFile(`${directory}/${linux}/LICENSE`), /^MIT License/);
  }));

Deno.test("a platform that cannot be built leaves nothing half done and says so", () =>
  withDirectory({}, async (directory) => {
    await assert.rejects(
      release(["aarch64-apple-darwin"], directory, () => Promise.reject(new Error("no runtime"))),
      /^Error: no runtime$/,
    );
    assert.deepEqual(await Array.fromAsync(Deno.readDir(directory)), []);
  }));
