/** @file Every link from a page to another one, to a heading, a file or a picture, leads somewhere; and the README stays short. */
import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path/posix";
import { pagePaths, readPage } from "../support/pages/pages.ts";

const ROOT = new URL("../../", import.meta.url);
const pages = await pagePaths();

/** As GitHub makes them: https://docs.github.com/get-started/writing-on-github (section links). */
function anchorsOf(page: string): string[] {
  const headings = page.replaceAll(/^```[^]*?^```/gm, "").matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading]) =>
    heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

for (const path of pages) {
  Deno.test(`the links of ${path} lead somewhere`, async () => {
    const page = await readPage(path);
    const inline = [...page.matchAll(/\]\(([^)\s]+)\)/g)];
    const named = [...page.matchAll(/^\[[^\]]+\]: (\S+)$/gm)];
    for (const [, link] of [...inline, ...named]) {
      if (/^https?:/.test(link)) continue;
      const [file, anchor] = link.split("#");
      const target = file === "" ? path : normalize(join(dirname(path), file));
      assert.ok(await exists(target), `${path} links to ${link}, but there is no ${target}`);
      if (anchor === undefined) continue;
      const anchors = anchorsOf(await readPage(target));
      assert.ok(anchors.includes(anchor), `${path} links to ${link}, but ${target} has only ${anchors.join(", ")}`);
    }
  });
}

Deno.test("every page and every picture in docs/ is linked from some page", async () => {
  const linked = new Set<string>();
  for (const path of pages) {
    for (const [, link] of (await readPage(path)).matchAll(/\]\(([^)\s#]+)/g)) {
      linked.add(normalize(join(dirname(path), link)));
    }
  }
  const pictures = [...Deno.readDirSync(new URL("docs/figures", ROOT))].map(({ name }) => `docs/figures/${name}`);
  for (const path of [...pages.filter((page) => page.startsWith("docs/")), ...pictures]) {
    assert.ok(linked.has(path), `no page links to ${path}`);
  }
});

Deno.test("the README has at most 9 KB", async () => {
  const { size } = await Deno.stat(new URL("README.md", ROOT));
  assert.ok(size <= 9 * 1024, `${size} bytes`);
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(new URL(path, ROOT)).then(() => true, () => false);
}
