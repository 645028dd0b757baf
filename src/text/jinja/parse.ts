/**
 * @file Reads the source of a template with npm's @huggingface/jinja, with its deviations from Jinja mended.
 *
 * Of the library (0.5.11) only the reader is used; interpreter.ts says why. What it does differently, and is mended here:
 * - it keeps no line numbers: a comment that says the line is put before every tag;
 * - tests take no arguments, and none but the last part of an expression can be a test: `x is divisibleby(2)` becomes the
 *   filter `x | "is divisibleby"(2)`, for filters and tests bind alike in Jinja;
 * - a backslash before any other character than those of an escape is an error, where Python keeps it;
 * - line ends are line feeds only.
 */

import { parse, tokenize } from "@huggingface/jinja";

/** A node of the library's syntax tree; interpreter.ts knows the fields of each type. */
export interface TemplateNode {
  readonly type: string;
  /** Of statements: where their tag starts, counted from 1. */
  line?: number;
  // deno-lint-ignore no-explicit-any -- the library does not export its types
  [field: string]: any;
}

interface Token {
  readonly value: string;
  readonly type: string;
}

/** What the names of tests start with where they have become filters. No filter has a space in its name. */
export const TEST_PREFIX = "is ";
export const NEGATED_TEST_PREFIX = "is not ";

/** @throws {Error} when the source is not Jinja */
export function parseTemplate(source: string): TemplateNode {
  const { text, lines } = scanTags(source.replace(/\r\n?/g, "\n"));
  const tokens: Token[] = tokenize(text, { lstrip_blocks: true, trim_blocks: true });
  const program = parse(testsAsFilters(withLines(tokens, lines)) as never) as unknown as TemplateNode;
  program.body = placeLines(program.body).nodes;
  return program;
}

/** The source with its strings mended, and the line of each tag but `{% generation %}`, which the library drops. */
function scanTags(source: string): { text: string; lines: number[] } {
  const lines: number[] = [];
  let text = "";
  let line = 1;
  let counted = 0;
  let at = 0;
  const opening = /\{[%{#]/g;
  while (true) {
    opening.lastIndex = at;
    const start = opening.exec(source)?.index;
    if (start === undefined) return { text: text + source.slice(at), lines };
    for (; counted < start; counted++) if (source[counted] === "\n") line++;
    if (source[start + 1] === "#") {
      const end = source.indexOf("#}", start + 2);
      text += source.slice(at, end < 0 ? source.length : end + 2);
      at = end < 0 ? source.length : end + 2;
      continue;
    }
    if (!/^\{%-?\s*(?:end)?generation\s*-?%\}/.test(source.slice(start, start + 40))) lines.push(line);
    const end = endOfTag(source, start);
    text += source.slice(at, start) +
      source.slice(start, end).replace(/'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/g, (string) => {
        return string.replace(
          /\\([^])/g,
          (escape, character) => /[ntrbfv'"\\xu]/.test(character) ? escape : `\\${escape}`,
        );
      });
    at = end;
  }
}

/** Where the tag that starts at `start` ends; strings and dictionaries in it may hold its closing mark. */
function endOfTag(source: string, start: number): number {
  const isExpression = source[start + 1] === "{";
  let depth = 0;
  for (let at = start + 2; at < source.length; at++) {
    const character = source[at];
    if (character === "'" || character === '"') {
      for (at++; at < source.length && source[at] !== character; at++) if (source[at] === "\\") at++;
    } else if (isExpression && depth === 0 && source.startsWith("}}", at)) return at + 2;
    else if (!isExpression && source.startsWith("%}", at)) return at + 2;
    else if (character === "{") depth++;
    else if (character === "}") depth--;
  }
  return source.length;
}

function withLines(tokens: readonly Token[], lines: readonly number[]): Token[] {
  let tag = 0;
  return tokens.flatMap((token) =>
    token.type === "OpenStatement" || token.type === "OpenExpression"
      ? [{ type: "Comment", value: String(lines[tag++]) }, token]
      : token.type === "Comment"
      ? []
      : [token]
  );
}

/** Moves the lines from the comments to the nodes that follow them; `after` is that of a comment that ends the list. */
function placeLines(nodes: readonly TemplateNode[]): { nodes: TemplateNode[]; after?: number } {
  const placed: TemplateNode[] = [];
  let line: number | undefined;
  for (const node of nodes) {
    if (node.type === "Comment") {
      line = Number(node.value);
      continue;
    }
    if (line !== undefined) node.line = line;
    line = undefined;
    if (Array.isArray(node.body)) {
      const body = placeLines(node.body);
      node.body = body.nodes;
      // The comment before {% elif %} has become the last of the body above it.
      if (node.type === "If" && node.alternate[0]?.type === "If") node.alternate[0].line = body.after;
    }
    for (const field of ["alternate", "defaultBlock"]) {
      if (Array.isArray(node[field])) node[field] = placeLines(node[field]).nodes;
    }
    placed.push(node);
  }
  return { nodes: placed, after: line };
}

/** Names that cannot be the argument of a test, for they go on with the expression. */
const KEYWORDS = new Set(["and", "or", "not", "if", "else", "is", "in", "recursive"]);

function testsAsFilters(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const isTest = isName(tokens[at], "is") && tokens[at - 1]?.type !== "Dot" && tokens[at + 1]?.type === "Identifier";
    if (!isTest) {
      result.push(tokens[at]);
      continue;
    }
    const isNegated = isName(tokens[at + 1], "not");
    at += isNegated ? 2 : 1;
    result.push(
      { type: "Pipe", value: "|" },
      { type: "Identifier", value: (isNegated ? NEGATED_TEST_PREFIX : TEST_PREFIX) + tokens[at]?.value },
    );
    const end = endOfArgument(tokens, at + 1);
    if (end === at + 1) continue;
    result.push({ type: "OpenParen", value: "(" });
    result.push(...testsAsFilters(tokens.slice(at + 1, end)), { type: "CloseParen", value: ")" });
    at = end - 1;
  }
  return result;
}

/** Where the argument without parentheses that starts at `at` ends; `at` itself where there is none. */
function endOfArgument(tokens: readonly Token[], at: number): number {
  const first = tokens[at];
  const isArgument = first !== undefined && !KEYWORDS.has(first.value) &&
    ["Identifier", "StringLiteral", "NumericLiteral", "OpenSquareBracket", "OpenCurlyBracket"].includes(first.type);
  if (!isArgument) return at;
  let end = endOfGroup(tokens, at);
  while (
    tokens[end]?.type === "Dot" || tokens[end]?.type === "OpenSquareBracket" || tokens[end]?.type === "OpenParen"
  ) {
    end = tokens[end].type === "Dot" ? end + 2 : endOfGroup(tokens, end);
  }
  return end;
}

/** Behind the bracket that closes the one at `at`, or behind the token at `at` that is none. */
function endOfGroup(tokens: readonly Token[], at: number): number {
  let depth = 0;
  for (let end = at; end < tokens.length; end++) {
    if (tokens[end].type.startsWith("Open")) depth++;
    if (tokens[end].type.startsWith("Close")) depth--;
    if (depth === 0) return end + 1;
  }
  return tokens.length;
}

function isName(token: Token | undefined, name: string): boolean {
  return token?.type === "Identifier" && token.value === name;
}
