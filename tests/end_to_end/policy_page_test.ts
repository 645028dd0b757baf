/** Every command of docs/extending/policy.md works as it stands there. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withPlugins } from "../support/plugins.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("the page on policies takes a reader from an empty file to a policy that is better than SnapKV at looking things up", async () => {
  const page = await Deno.readTextFile(join(ROOT, "docs/extending/policy.md"));
  const blocks = [...page.matchAll(/```(sh|ts)( \S+)?\n([^]*?)```/g)];
  assert.deepEqual(blocks.map(([, language]) => language), ["sh", "ts", "sh", "sh"]);
  await withPlugins({}, async (directory) => {
    let printed = "";
    for (const [, language, name, text] of blocks) {
      if (language === "ts") {
        await Deno.writeTextFile(join(directory, name.trim()), text);
        continue;
      }
      for (const line of text.trim().split("\n")) {
        // In another directory, so that nothing is left in this one.
        const command = line.replace("main.ts", join(ROOT, "main.ts")).replace("deno run", `deno run --no-check`);
        const { success, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", command], cwd: directory })
          .output();
        const decoder = new TextDecoder();
        assert.ok(success, `${line}: ${decoder.decode(stderr)}`);
        printed += decoder.decode(stdout);
      }
    }
    const scoreOf = (policy: string) =>
      Number(new RegExp(`^${policy}(?: \\(yours\\))? +([\\d.]+)`, "m").exec(printed)![1]);
    assert.ok(scoreOf("ahead") > scoreOf("snapkv"), printed);
  });
});
