/** @file The parts of pages that are made from the code's own tables, by page and name. */
import { COMMANDS } from "../../src/cli/commands.ts";
import { EXIT_CODES } from "../../src/cli/exit_codes.ts";
import { flagName } from "../../src/cli/option_names.ts";
import type { AnyFlag } from "../../src/cli/values.ts";
import { optionsJsonSchema } from "../../src/policy/choice.ts";
import type { Plugin } from "../../src/policy/policy.ts";
import {
  REFUSED_CHAT_FIELDS,
  REFUSED_COMPLETION_FIELDS,
  REFUSED_FIELDS,
  REFUSED_MESSAGES_FIELDS,
  REFUSED_RESPONSES_FIELDS,
} from "../../src/routes/requests/refused_fields.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";

/** What makes each part. A page holds it between the marks that {@link beginMark} and {@link endMark} return. */
export const PARTS: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  "docs/cli.md": { commands, flags, "exit codes": exitCodes },
  "docs/kv-cache.md": { options: policyOptions },
  "docs/api.md": { "refused fields": refusedFields },
};

export const beginMark = (part: string) => `<!-- made by deno task docs, ${part}: begin -->`;
export const endMark = (part: string) => `<!-- made by deno task docs, ${part}: end -->`;

/**
 * Puts the parts into a page.
 *
 * @throws {Error} if the page lacks the marks of one
 */
export function withParts(path: string, page: string): string {
  for (const [part, make] of Object.entries(PARTS[path])) {
    const [begin, end] = [page.indexOf(beginMark(part)), page.indexOf(endMark(part))];
    if (begin === -1 || end < begin) {
      throw new Error(`${path} must hold the lines ${beginMark(part)} and ${endMark(part)}`);
    }
    page = `${page.slice(0, begin)}${beginMark(part)}\n\n${make()}\n\n${page.slice(end)}`;
  }
  return page;
}

function commands(): string {
  return table(
    ["command", ""],
    Object.entries(COMMANDS).map(([name, { summary, positionals = [], flags }]) => [
      code(["main.ts", name, ...positionals.map((option) => flags[option].value.placeholder)].join(" ")),
      summary,
    ]),
  );
}

function flags(): string {
  return Object.entries(COMMANDS).map(([name, { summary, flags }]) =>
    [
      `### ${name}`,
      `${summary}.`,
      table(
        ["flag", "default", "meaning"],
        Object.entries(flags).map(([option, flag]) => {
          const { placeholder } = flag.value;
          return [code(`${flagName(option)}${placeholder === "" ? "" : ` ${placeholder}`}`), initial(flag), flag.help];
        }),
      ),
    ].join("\n\n")
  ).join("\n\n");
}

function initial(flag: AnyFlag): string {
  if (flag.required) return "required";
  if (flag.default === undefined) return "";
  return flag.value.placeholder === "" ? "off" : code(String(flag.default));
}

function exitCodes(): string {
  return table(["exit code", "meaning"], Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]));
}

function policyOptions(): string {
  const { scorers, allocators } = builtInPolicies;
  const rows = (kind: string, plugins: readonly Plugin[]) =>
    plugins.flatMap((plugin) =>
      Object.entries(schemasOf(plugin)).map(([option, schema]) => [
        `${kind} ${code(plugin.name)}`,
        code(option),
        schema.default === undefined ? "" : code(JSON.stringify(schema.default)),
        schema.description ?? "",
      ])
    );
  return table(["of", "option", "default", "meaning"], [...rows("scorer", scorers), ...rows("allocator", allocators)]);
}

interface OptionSchema {
  readonly default?: unknown;
  readonly description?: string;
}

function schemasOf(plugin: Plugin): Record<string, OptionSchema> {
  return optionsJsonSchema(plugin).properties as Record<string, OptionSchema> ?? {};
}

function refusedFields(): string {
  const endpoints = [
    ["all", REFUSED_FIELDS],
    ["completions", REFUSED_COMPLETION_FIELDS],
    ["chat", REFUSED_CHAT_FIELDS],
    ["responses", REFUSED_RESPONSES_FIELDS],
    ["messages", REFUSED_MESSAGES_FIELDS],
  ] as const;
  return table(
    ["field", "of", "why", "let pass if"],
    endpoints.flatMap(([endpoint, fields]) =>
      Object.entries(fields).map(([field, [reason, ...neutral]]) => [
        code(field),
        endpoint,
        reason,
        neutral.map((value) => code(JSON.stringify(value))).join(", "),
      ])
    ),
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
