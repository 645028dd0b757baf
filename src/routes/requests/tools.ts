/** @file The tools of a chat completion, and what the model is to do with them. */
import { z } from "zod";
import { boolean, listOf } from "./checks.ts";
import { spelledObject } from "./slips.ts";

const MAX_TOOLS = 128;

const toolError = 'expected {"type": "function", "function": {"name": ...}}: other kinds are not supported';
const tool = z.looseObject({
  type: z.literal("function", { error: toolError }),
  function: spelledObject({
    name: z.string({ error: toolError }).min(1, { error: "expected at least one character" }),
    parameters: z.looseObject({}, { error: "expected a JSON schema" }).nullish(),
    strict: boolean.nullish(),
  }, { error: toolError, others: ["description"] }),
}, { error: toolError });

/** A function that the model may call. */
export type Tool = z.infer<typeof tool>;

const named = z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) });
const choiceError = 'expected "auto", "none", "required", {"type": "function", "function": {"name": ...}} or ' +
  '{"type": "allowed_tools", "allowed_tools": {"mode": "auto" or "required", "tools": [...]}}';
const choice = z.union([
  z.enum(["auto", "none", "required"]),
  named,
  z.looseObject({
    type: z.literal("allowed_tools"),
    allowed_tools: z.looseObject({
      mode: z.enum(["auto", "required"]),
      tools: listOf(named, MAX_TOOLS, "expected an array of tools")
        .refine((tools) => tools.length > 0, { error: "expected at least one tool" }),
    }),
  }),
], { error: choiceError });

export const toolFields = {
  tools: listOf(tool, MAX_TOOLS, "expected an array of tools").nullish(),
  tool_choice: choice.nullish(),
};

const fieldsObject = z.object(toolFields);
type ToolFields = z.infer<typeof fieldsObject>;

/** What the model is offered. */
export interface OfferedTools {
  /** Those that it may call; the others are not told to it. */
  readonly tools: readonly Tool[];
  /** Whether it has to call one. */
  readonly isRequired: boolean;
  /** The one that it has to call, if there is no choice. */
  readonly named: string | null;
}

/** What a request offers to the model. */
export function offeredTools({ tools, tool_choice: choice }: ToolFields): OfferedTools {
  const all = tools ?? [];
  if (typeof choice !== "object" || choice === null) {
    return { tools: choice === "none" ? [] : all, isRequired: choice === "required", named: null };
  }
  if (choice.type === "function") return { tools: all, isRequired: true, named: choice.function.name };
  const { mode, tools: allowed } = choice.allowed_tools;
  const names = new Set(allowed.map((one) => one.function.name));
  return {
    tools: all.filter((one) => names.has(one.function.name)),
    isRequired: mode === "required",
    named: null,
  };
}

/** What a choice among tools must have beside it. */
export function checkTools({ tools, tool_choice: choice }: ToolFields, context: z.core.$RefinementCtx<unknown>): void {
  const problem = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path: ["tool_choice", ...path], message });
  const names = new Set((tools ?? []).map((one) => one.function.name));
  if (choice === "required" && names.size === 0) problem([], "expected tools beside it");
  if (typeof choice !== "object" || choice === null) return;
  if (choice.type === "function") {
    if (!names.has(choice.function.name)) problem([], "expected the name of one of the tools");
    return;
  }
  choice.allowed_tools.tools.forEach((one, at) => {
    if (names.has(one.function.name)) return;
    problem(["allowed_tools", "tools", at, "function", "name"], "expected the name of one of the tools");
  });
}
