/**
 * @file Faults that nobody chose: an operator or a constant of a line is exchanged for its neighbour, in files drawn by a seed.
 *
 * Only files that a test mirrors (tests/NAME_test.ts for src/NAME.ts) take part, and that test alone must notice. Faults that
 * make no difference are among them, so a person reads each survivor: it gets a test, or was none.
 */
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import type { Mutation } from "./mutations.ts";

/** What stands in a line of code, and what is put in its place. */
const EXCHANGES: readonly (readonly [from: RegExp, to: string])[] = [
  [/ < /g, " <= "],
  [/ <= /g, " < "],
  [/ > /g, " >= "],
  [/ >= /g, " > "],
  [/ === /g, " !== "],
  [/ !== /g, " === "],
  [/ && /g, " || "],
  [/ \|\| /g, " && "],
  [/ \+ /g, " - "],
  [/ - /g, " + "],
  [/ \* /g, " / "],
  [/\bMath\.min\(/g, "Math.max("],
  [/\bMath\.max\(/g, "Math.min("],
  [/\bMath\.ceil\(/g, "Math.floor("],
  [/\bMath\.(?:floor|round)\(/g, "Math.ceil("],
  [/(?<![.\w])0(?![.\w])/g, "1"],
  [/(?<![.\w])1(?![.\w])/g, "2"],
  [/\btrue\b/g, "false"],
  [/\bfalse\b/g, "true"],
  [/\breturn;/g, ";"],
  [/\bcontinue;/g, ";"],
];

/** Lines that hold no code: comments, imports, and what only types say. */
const NO_CODE = /^\s*(?:\/\/|\/?\*|import |export (?:type|interface)|type |interface |readonly |throw |$)/;

/**
 * The faults that may be made in a source, one for each place of {@linkcode EXCHANGES}.
 *
 * @param file its path, as it stands in the faults
 */
export function faultsOf(file: string, source: string, tests: readonly string[]): Mutation[] {
  const lines = source.split("\n");
  return lines.flatMap((line, at) => {
    if (NO_CODE.test(line)) return [];
    const code = withoutTexts(line);
    return EXCHANGES.flatMap(([pattern, to]) =>
      [...code.matchAll(pattern)].map(({ index, 0: { length } }): Mutation => {
        const changed = line.slice(0, index) + to + line.slice(index + length);
        // The line before makes a line that stands several times one of its kind, most often.
        const before = at > 0 ? `${lines[at - 1]}\n` : "";
        return { file, from: `${before}${line}\n`, to: `${before}${changed}\n`, tests };
      })
    );
  }).filter(({ from }) => source.split(from).length === 2);
}

/** A line whose strings, regular expressions' classes and comments are blank, with all else where it was. */
function withoutTexts(line: string): string {
  return line.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`?|\/\/.*$/g, (text) => " ".repeat(text.length));
}

/** Every file of src/ that a test mirrors, and that test. */
async function mirrored(root: string, folder = "src"): Promise<{ file: string; test: string }[]> {
  const found: { file: string; test: string }[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${root}${folder}`)) {
    const file = `${folder}/${name}`;
    if (isDirectory) {
      found.push(...await mirrored(root, file));
      continue;
    }
    const test = file.replace(/^src/, "tests").replace(/\.ts$/, "_test.ts");
    const isTested = name.endsWith(".ts") && await Deno.stat(root + test).then(() => true, () => false);
    if (isTested) found.push({ file, test });
  }
  return found.sort((a, b) => a.file < b.file ? -1 : 1);
}

/** So many faults, each in a file drawn anew, of those whose path holds `part`. */
export async function randomFaults(root: string, seed: number, count: number, part: string): Promise<Mutation[]> {
  const random = seededRandom(seed);
  const files = (await mirrored(root)).filter(({ file }) => file.includes(part));
  const open = await Promise.all(
    files.map(async ({ file, test }) => faultsOf(file, await Deno.readTextFile(root + file), [test])),
  );
  const drawn: Mutation[] = [];
  while (drawn.length < count) {
    const left = open.filter((faults) => faults.length > 0);
    if (left.length === 0) break;
    const faults = left[randomInteger(random, 0, left.length - 1)];
    drawn.push(...faults.splice(randomInteger(random, 0, faults.length - 1), 1));
  }
  return drawn;
}
