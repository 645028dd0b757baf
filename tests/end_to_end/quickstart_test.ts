/** @file Follows the README as a reader does, and looks at the answers: they show what compression keeps and loses. */
import assert from "node:assert/strict";
import { blocksOf } from "../support/pages/blocks.ts";
import { follow } from "../support/pages/follow.ts";
import { readPage } from "../support/pages/pages.ts";
import { Workshop } from "../support/pages/workshop.ts";

/** What the README says that its needs are, and what its commands call. */
const PROGRAMS = ["bash", "npx", "node"];

async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output();
  return success;
}

const missing = (await Promise.all(PROGRAMS.map(async (name) => await has(name) ? [] : [name]))).flat();

Deno.test({
  name: `the README's commands work as written${missing.length > 0 ? ` (skipped: there is no ${missing})` : ""}`,
  ignore: missing.length > 0,
  async fn(t) {
    const workshop = await Workshop.open({ usesNpx: true });
    try {
      const printed: string[] = [];
      for (const block of blocksOf(await readPage("README.md"))) {
        await t.step(`line ${block.line}: ${block.kind}`, async () => void printed.push(await follow(block, workshop)));
      }

      await t.step("the number is found with all rows and by ebbkv, and not by dynamickv", async () => {
        const { answers: [number] } = JSON.parse(await Deno.readTextFile(`${workshop.directory}/sample.json`));
        const lines = printed.join("").matchAll(/^(full|dynamickv|ebbkv) (.*) rows: ([\d. ]+)$/gm);
        const replies = new Map([...lines].map(([, policy, answer, rows]) => [policy, { answer, rows }]));
        assert.deepEqual([...replies.keys()], ["full", "dynamickv", "ebbkv"]);
        const found = [...replies].filter(([, { answer }]) => answer.includes(number)).map(([policy]) => policy);
        assert.deepEqual(found, ["full", "ebbkv"]);

        const rowsOf = (policy: string) => replies.get(policy)!.rows.split(" ").map(Number);
        const [prompt] = rowsOf("full");
        assert.ok(prompt > 900, "a document of a thousand tokens");
        assert.deepEqual(rowsOf("full"), Array(8).fill(prompt));
        for (const policy of ["dynamickv", "ebbkv"]) {
          const rows = rowsOf(policy);
          const share = rows.reduce((sum, count) => sum + count) / (8 * prompt);
          assert.ok(share > 0.06 && share <= 0.069, `${policy} kept ${share}`);
          assert.ok(new Set(rows).size > 4, "layers keep different numbers of rows");
        }
      });
      await t.step("the comparison leaves pictures", async () => {
        for (const figure of ["scores", "agreement", "rows"]) {
          assert.match(await Deno.readTextFile(`${workshop.directory}/results.${figure}.svg`), /^<svg /);
        }
      });
    } finally {
      await workshop.close();
    }
  },
});

Deno.test("the README shows what its quickstart prints", async () => {
  const [shown] = blocksOf(await readPage("README.md")).filter(({ kind }) => kind === "text");
  const sample = /^(full|dynamickv|ebbkv) {2}(\d+)\. rows:(?: \d+(?:\.5)?){8}$/;
  assert.deepEqual(shown.content.trimEnd().split("\n").map((line) => sample.exec(line)?.slice(1)), [
    ["full", "31088"],
    ["dynamickv", "3108"],
    ["ebbkv", "31088"],
  ]);
});
