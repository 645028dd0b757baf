/**
 * @file Edits as pages show them: a diff without line numbers, whose lines say where it belongs.
 *
 *     --- src/policy/steps.ts
 *     @@
 *      a line that stays
 *     +a line that is new
 */

/** The edits of one file: each replaces what is there once by something else. */
export interface FileEdit {
  readonly path: string;
  readonly hunks: readonly { readonly old: string; readonly new: string }[];
}

/**
 * Reads the text of a block.
 *
 * @throws {SyntaxError} if a line is neither a file's name, the begin of a hunk, nor a line of one
 */
export function parseEdits(diff: string): FileEdit[] {
  const edits: { path: string; hunks: { old: string; new: string }[] }[] = [];
  for (const line of diff.replace(/\n$/, "").split("\n")) {
    const path = /^--- (\S+)$/.exec(line)?.[1];
    if (path !== undefined) {
      edits.push({ path, hunks: [] });
      continue;
    }
    if (line === "@@") {
      edits.at(-1)!.hunks.push({ old: "", new: "" });
      continue;
    }
    const hunk = edits.at(-1)?.hunks.at(-1);
    const text = `${line.slice(1)}\n`;
    if (hunk === undefined || !["", " ", "+", "-"].includes(line.charAt(0))) {
      throw new SyntaxError(`${JSON.stringify(line)} is no line of a diff: expected "--- PATH", then "@@", then hunks`);
    }
    if (line.charAt(0) !== "+") hunk.old += text;
    if (line.charAt(0) !== "-") hunk.new += text;
  }
  return edits;
}

/**
 * The source with a file's edits made.
 *
 * @throws {Error} if what a hunk replaces is not there, or is there more than once
 */
export function edited(source: string, { path, hunks }: FileEdit): string {
  for (const hunk of hunks) {
    const found = source.split(hunk.old).length - 1;
    if (found !== 1) {
      throw new Error(
        `${path} has these lines ${found} times, not once, so the page's edit has no place:\n${hunk.old}`,
      );
    }
    source = source.replace(hunk.old, () => hunk.new);
  }
  return source;
}
