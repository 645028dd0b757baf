/**
 * @file Code in which no loop and no recursion is endless: at the start of each body a function is called that can throw.
 *
 *     while (true) { ... }                while (true) {tick(); ... }
 *
 * A thread that loops cannot be interrupted from outside (Deno 2.9.6, Worker.terminate() included), but it can interrupt itself.
 * Nothing is put on a line of its own, so that places in the code keep their lines.
 */
import { type Node, parse } from "acorn";
import { TICK } from "./tick.ts";

const LOOPS: ReadonlySet<string> = new Set([
  "ForStatement",
  "ForInStatement",
  "ForOfStatement",
  "WhileStatement",
  "DoWhileStatement",
]);
const FUNCTIONS: ReadonlySet<string> = new Set([
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
]);

/** The code with calls of {@link TICK}; it must be a script. */
export function withBoundedLoops(code: string): string {
  const insertions: { readonly at: number; readonly text: string }[] = [];
  const visit = (node: Node) => {
    const { body } = node as Node & { body?: Node };
    if (body !== undefined && (LOOPS.has(node.type) || FUNCTIONS.has(node.type))) {
      const opening = body.type === "BlockStatement" ? body.start + 1 + directives(code, body) : body.start;
      if (body.type === "BlockStatement") insertions.push({ at: opening, text: `${TICK}();` });
      else if (LOOPS.has(node.type)) {
        insertions.push({ at: body.start, text: `{${TICK}();` }, { at: body.end, text: "}" });
      } // Of an arrow without a block, the value.
      else insertions.push({ at: body.start, text: `(${TICK}(),` }, { at: body.end, text: ")" });
    }
    for (const child of Object.values(node)) {
      for (const one of Array.isArray(child) ? child : [child]) if (typeof one?.type === "string") visit(one);
    }
  };
  visit(parse(code, { ecmaVersion: 2022, allowReturnOutsideFunction: true }));
  // What is inserted at one place keeps its order: a body's end before the end of what is around it.
  return insertions.sort((a, b) => b.at - a.at).reduce(
    (text, { at, text: inserted }) => text.slice(0, at) + inserted + text.slice(at),
    code,
  );
}

/** Characters of the strings at the start of a body, such as "use strict", which must stay there. */
function directives(code: string, body: Node): number {
  const { body: statements } = body as Node & { body: (Node & { directive?: string })[] };
  const last = statements.filter(({ directive }) => directive !== undefined).at(-1);
  if (last === undefined) return 0;
  const behind = code.slice(last.end).startsWith(";") ? 1 : 0;
  return last.end + behind - body.start - 1;
}
