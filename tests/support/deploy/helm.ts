/**
 * @file Renders the templates of a Helm chart that do with few of Helm's words; others are refused. Helm itself is not among the
 * packages that tests may need.
 *
 *     {{ PIPE }}   {{- if PIPE }} ... {{- end }}   {{- if not PIPE }} ...   {{- with PIPE }} ...
 *     PIPE: .Path.to.value, or toYaml .Path, then any of | quote, | nindent N, | sha256sum
 */
import { createHash } from "node:crypto";
import { stringify } from "yaml";

/** Parts of a template: text, and what is between braces, with whether the white space before it goes. */
const PARTS = /(\s*)\{\{(-?)\s*([^}]+?)\s*\}\}/;

const FILTERS: Readonly<Record<string, (value: unknown, argument: number) => unknown>> = {
  quote: (value) => JSON.stringify(String(value)),
  nindent: (value, spaces) => `\n${String(value).replaceAll(/^/gm, " ".repeat(spaces))}`,
  sha256sum: (value) => createHash("sha256").update(String(value)).digest("hex"),
};

/** @param scope what `.` is: `Values`, `Release` */
export function renderTemplate(template: string, scope: object): string {
  const blocks: { shown: boolean; scope: unknown }[] = [{ shown: true, scope }];
  let output = "";
  let rest = template;
  for (;;) {
    const block = blocks.at(-1)!;
    const match = PARTS.exec(rest);
    const text = match === null ? rest : rest.slice(0, match.index) + (match[2] === "-" ? "" : match[1]);
    if (block.shown) output += text;
    if (match === null) return output;
    rest = rest.slice(match.index + match[0].length);
    const [, word = "", pipe] = /^(?:(if not|if|with|end)\b)?\s*(.*)$/.exec(match[3])!;
    if (word === "end") blocks.pop();
    else if (word === "") output += block.shown ? evaluate(pipe, block.scope) : "";
    else {
      const value = block.shown ? evaluate(pipe, block.scope) : undefined;
      const shown = block.shown && isTrue(value) === (word !== "if not");
      blocks.push({ shown, scope: word === "with" ? value : block.scope });
    }
  }
}

function evaluate(pipe: string, scope: unknown): unknown {
  const [first, ...filters] = pipe.split("|").map((part) => part.trim());
  const [, asYaml, path] = /^(toYaml )?(\.[\w.]*)$/.exec(first) ?? refuse(first);
  const value = path.split(".").filter(Boolean).reduce<any>((inner, name) => inner[name], scope);
  return filters.reduce((result, filter) => {
    const [name, argument] = filter.split(" ");
    if (!Object.hasOwn(FILTERS, name)) refuse(filter);
    return FILTERS[name](result, Number(argument));
  }, asYaml ? stringify(value).trimEnd() : value);
}

/** As in Go's templates: what is empty is false. */
function isTrue(value: unknown): boolean {
  return typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

function refuse(text: string): never {
  throw new Error(`The test's renderer of Helm's templates does not know ${JSON.stringify(text)}`);
}
