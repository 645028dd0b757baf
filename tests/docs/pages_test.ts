/**
 * @file Every page does what it says: its commands run, its programs are type-checked or run, its edits apply to this source, one
 * after the other in a copy of the project. What the words behind a fence mean: tests/support/pages/blocks.ts.
 */
import { type Block, blocksOf } from "../support/pages/blocks.ts";
import { checkTouched, follow } from "../support/pages/follow.ts";
import { pagePaths, readPage } from "../support/pages/pages.ts";
import { Workshop } from "../support/pages/workshop.ts";

/** Whether a block does anything by itself. */
const isLive = (block: Block) => block.kind !== "text" && !(block.kind === "command" && block.notRun !== undefined);

/** Followed elsewhere: by quickstart_test.ts and policy_page_test.ts of tests/end_to_end. */
const ELSEWHERE = ["README.md", "docs/extending/policy.md"];

for (const path of (await pagePaths()).filter((path) => !ELSEWHERE.includes(path))) {
  const blocks = blocksOf(await readPage(path));
  if (!blocks.some(isLive)) continue;
  Deno.test(`${path} does what it says`, async (t) => {
    const workshop = await Workshop.open();
    try {
      for (const block of blocks) {
        const notRun = block.kind === "command" ? block.notRun : undefined;
        await t.step({
          name: `line ${block.line}: ${block.kind}${notRun === undefined ? "" : ` (not run: ${notRun})`}`,
          ignore: notRun !== undefined,
          fn: async () => void await follow(block, workshop),
        });
      }
      await t.step("what it made is formatted, clean and typed", () => checkTouched(workshop));
    } finally {
      await workshop.close();
    }
  });
}
