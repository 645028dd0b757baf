/**
 * @file Every page does what it says: its commands run, its programs are type-checked or run, its edits apply to this source, one
 * after the other in a copy of the project. What the words behind a fence mean: tests/support/pages/blocks.ts.
 */
import assert from "node:assert/strict";
import { startApp } from "../routes/harness.ts";
import { type Block, blocksOf } from "../support/pages/blocks.ts";
import { pagePaths, readPage } from "../support/pages/pages.ts";
import { Workshop } from "../support/pages/workshop.ts";

/** Whether a block does anything by itself. */
const isLive = (block: Block) => block.kind !== "text" && !(block.kind === "command" && block.notRun !== undefined);

for (const path of await pagePaths()) {
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
          fn: () => follow(block, workshop),
        });
      }
      await t.step("what it made is formatted, clean and typed", () => checkTouched(workshop));
    } finally {
      await workshop.close();
    }
  });
}

async function follow(block: Block, workshop: Workshop): Promise<void> {
  const { content, line } = block;
  switch (block.kind) {
    case "command":
      if (block.isServer) await workshop.startServer(content);
      else await workshop.run(content);
      break;
    case "program": {
      const name = `page_line_${line}.ts`;
      await workshop.writeFile(name, workshop.addressed(content));
      if (block.isRun) await workshop.runDeno("run", "-A", "--check", name);
      break;
    }
    case "file":
      assert.ok(block.lead.includes(`\`${block.path}\``), `the paragraph before the file must name ${block.path}`);
      await workshop.writeFile(block.path, content);
      break;
    case "edit":
      await workshop.edit(content);
      break;
    case "json":
      await checkJson(JSON.parse(content));
      break;
    case "text":
      break;
    default:
      block satisfies never;
  }
}

/** A request's body must be taken by the server's own checks. */
async function checkJson(body: any): Promise<void> {
  const path = body.messages ? "/v1/chat/completions" : "prompt" in body ? "/v1/completions" : undefined;
  if (path === undefined) return;
  const { post } = startApp({ script: () => ({ tokens: [65] }), model: { contextLength: 131_072 } });
  const response = await post(path, body);
  const text = await response.text();
  assert.equal(response.status, 200, text);
}

async function checkTouched(workshop: Workshop): Promise<void> {
  const files = [...workshop.touched].filter((path) => path.endsWith(".ts"));
  if (files.length === 0) return;
  await workshop.runDeno("fmt", "--check", ...files);
  await workshop.runDeno("lint", ...files);
  await workshop.runDeno("check", ...files);
}
