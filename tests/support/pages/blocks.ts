/**
 * @file The fenced blocks of a page, and what the words behind their fences say of them. Those words are not shown to readers.
 *
 *     sh                       a command: run
 *     sh server                a server: started, and left running for the rest of the page
 *     sh not run: REASON       a command that takes too long or needs what a fresh machine has not
 *     ts, js                   type-checked
 *     ts run, js run           and run
 *     ts file=PATH             a whole file, written; the paragraph before it must name the path
 *     diff                     an edit, made: see edits.ts
 *     json                     read; what has `messages` or a `prompt` is sent to the server's checks
 *     text                     nothing: output, or a drawing
 */

/** Kinds of blocks, by the words behind the fence. */
export type BlockKind =
  | { readonly kind: "command"; readonly isServer: boolean; readonly notRun?: string }
  | { readonly kind: "program"; readonly language: "ts" | "js"; readonly isRun: boolean }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "edit" }
  | { readonly kind: "json" }
  | { readonly kind: "text" };

export type Block = BlockKind & {
  /** Of the fence, counted from 1. */
  readonly line: number;
  readonly content: string;
  /** The paragraph before it. */
  readonly lead: string;
};

/**
 * The blocks of a page in their order.
 *
 * @throws {SyntaxError} if the words behind a fence mean nothing, naming the line
 */
export function blocksOf(page: string): Block[] {
  const lines = page.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent, fence, info] = /^( *)(```+)(.*)$/.exec(lines[at]) ?? [];
    if (fence === undefined) continue;
    const end = lines.indexOf(indent + fence, at + 1);
    if (end === -1) throw new SyntaxError(`Line ${at + 1}: the block does not end`);
    const content = lines.slice(at + 1, end).map((line) => `${line.slice(indent.length)}\n`).join("");
    blocks.push({ ...kindOf(info.trim(), at + 1), line: at + 1, content, lead: paragraphBefore(lines, at) });
    at = end;
  }
  return blocks;
}

function kindOf(info: string, line: number): BlockKind {
  const notRun = /^sh not run: (.+)$/.exec(info)?.[1];
  if (info === "sh" || notRun !== undefined) return { kind: "command", isServer: false, notRun };
  if (info === "sh server") return { kind: "command", isServer: true };
  const [, language, run] = /^(ts|js)( run)?$/.exec(info) ?? [];
  if (language !== undefined) return { kind: "program", language: language as "ts" | "js", isRun: run !== undefined };
  const path = /^ts file=(\S+)$/.exec(info)?.[1];
  if (path !== undefined) return { kind: "file", path };
  if (info === "diff") return { kind: "edit" };
  if (info === "json" || info === "text") return { kind: info };
  throw new SyntaxError(
    `Line ${line}: ${JSON.stringify(info)} behind a fence means nothing: see tests/support/pages/blocks.ts`,
  );
}

function paragraphBefore(lines: readonly string[], fence: number): string {
  let end = fence;
  while (end > 0 && lines[end - 1] === "") end--;
  let start = end;
  while (start > 0 && lines[start - 1] !== "") start--;
  return lines.slice(start, end).join("\n");
}
