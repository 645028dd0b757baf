/** @file What PromQL expressions ask for: their metrics and the labels that these must have. */
import { parser } from "@prometheus-io/lezer-promql";
import type { SyntaxNode } from "@lezer/common";

/** A metric that an expression reads, and labels that it is chosen by. */
export interface Selector {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** @throws {SyntaxError} where an expression is no PromQL */
export function selectorsOf(expression: string): Selector[] {
  const selectors: Selector[] = [];
  const textOf = ({ from, to }: { from: number; to: number }) => expression.slice(from, to);
  parser.parse(expression).iterate({
    enter({ type, node, from }) {
      if (type.isError) throw new SyntaxError(`${expression}\n${" ".repeat(from)}^ is no PromQL`);
      if (type.name !== "VectorSelector") return;
      const metric = node.getChild("Identifier");
      if (metric === null) throw new SyntaxError(`${textOf(node)} names no metric`);
      selectors.push({ metric: textOf(metric), labels: namesIn(node, "LabelName").map(textOf) });
    },
  });
  return selectors;
}

/** The labels that an expression groups and joins by. */
export function groupingsOf(expression: string): string[] {
  const { topNode } = parser.parse(expression);
  return namesIn(topNode, "GroupingLabels").flatMap((node) =>
    namesIn(node, "LabelName").map(({ from, to }) => expression.slice(from, to))
  );
}

function namesIn(node: SyntaxNode, name: string): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  node.cursor().iterate((inner) => {
    if (inner.name === name) found.push(inner.node);
  });
  return found;
}
