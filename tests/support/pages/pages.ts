/** @file The pages that people read, wherever they lie. */
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../../", import.meta.url);

/** Paths from the project's root. */
export async function pagePaths(): Promise<string[]> {
  const patterns = ["*.md", "docs/**/*.md", "deploy/**/*.md", "models/*.md", "tools/**/*.md"];
  return (await Array.fromAsync(glob(patterns, { cwd: fileURLToPath(ROOT) }))).sort();
}

export function readPage(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}
