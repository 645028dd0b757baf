/**
 * The rules that hold the house together, see docs/architecture.md: who may import whom, types included.
 */
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { dirname, join, normalize } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { ROOMS } from "./support/rooms.ts";

const ROOT = new URL("../", import.meta.url);

const IMPORT = /(?:\bfrom|\bimport\(|^import)\s*"(\.[^"]+)"|new URL\("(\.[^"]+\.ts)", import\.meta/gm;

/** What every file of src/ imports of this repository, by path from its root. */
async function importsOf(files: readonly string[]): Promise<Map<string, string[]>> {
  const imports = new Map<string, string[]>();
  for (const file of files) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    const found = [...source.matchAll(IMPORT)].map(([, plain, url]) => normalize(join(dirname(file), plain ?? url)));
    imports.set(file, found.filter((path) => /\.tsx?$/.test(path)));
  }
  return imports;
}

const files = (await Array.fromAsync(glob("src/**/*.{ts,tsx}", { cwd: fileURLToPath(ROOT) }))).sort();
const imports = await importsOf(files);
const arrows = [...imports].flatMap(([from, targets]) => targets.map((to) => ({ from, to })));
const roomOf = (path: string) => path.split("/")[1];

Deno.test("every file of src/ lies in a room", () => {
  assert.ok(files.length > 150);
  for (const file of files) assert.ok(ROOMS.includes(roomOf(file)), `${file}: there is no room src/${roomOf(file)}/`);
});

Deno.test("docs/architecture.md lists the rooms in their order", async () => {
  const page = await Deno.readTextFile(new URL("docs/architecture.md", ROOT));
  const listed = [...page.matchAll(/^\| `([a-z]+)\/` /gm)].map(([, room]) => room);
  assert.deepEqual(listed, ROOMS);
});

Deno.test("src/ imports nothing but itself", () => {
  for (const { from, to } of arrows) {
    assert.match(to, /^src\//, `${from} imports ${to}: what src/ needs lies in src/`);
  }
});

Deno.test("no arrow runs up: a room imports only from those before it", () => {
  for (const { from, to } of arrows) {
    assert.ok(
      ROOMS.indexOf(roomOf(to)) <= ROOMS.indexOf(roomOf(from)),
      `${from} imports ${to}: src/${roomOf(from)}/ lies below src/${roomOf(to)}/ and may not know it`,
    );
  }
});

Deno.test("no circle: no file imports itself by way of others", () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    const start = path.indexOf(file);
    assert.ok(
      start < 0,
      `${path.at(-1)} imports ${file}, which closes a circle: ${[...path.slice(start), file].join(" -> ")}`,
    );
    if (done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

Deno.test('a policy is written as a user\'s is: with "ebb/policy" and other policies alone', async () => {
  for (const { from, to } of arrows) {
    if (roomOf(from) !== "plugins") continue;
    assert.ok(
      roomOf(to) === "plugins",
      `${from} imports ${to}: a policy imports "ebb/policy" and other policies alone`,
    );
  }
  for (const file of files) {
    if (roomOf(file) !== "plugins") continue;
    const source = await Deno.readTextFile(new URL(file, ROOT));
    for (const [, name] of source.matchAll(/\bfrom "([^."][^"]*)"/g)) assert.equal(name, "ebb/policy", file);
  }
});
