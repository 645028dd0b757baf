/** @file Does what the blocks of a page say. */
import assert from "node:assert/strict";
import { startApp } from "../../routes/harness.ts";
import type { Block } from "./blocks.ts";
import type { Workshop } from "./workshop.ts";

/** Does what a block says; returns what a command or a program prints. */
export async function follow(block: Block, workshop: Workshop): Promise<string> {
  const { content, line } = block;
  switch (block.kind) {
    case "command":
      if (!block.isServer) return await workshop.run(content);
      await workshop.startServer(content);
      break;
    case "program": {
      const name = `page_line_${line}.ts`;
      await workshop.writeFile(name, workshop.addressed(content));
      if (block.isRun) return await workshop.runDeno("run", "-A", "--check", name);
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
  return "";
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

/** What a page has made must be formatted, clean and typed as it is. */
export async function checkTouched(workshop: Workshop): Promise<void> {
  const files = [...workshop.touched].filter((path) => path.endsWith(".ts"));
  if (files.length === 0) return;
  await workshop.runDeno("fmt", "--check", ...files);
  await workshop.runDeno("lint", ...files);
  await workshop.runDeno("check", ...files);
}
