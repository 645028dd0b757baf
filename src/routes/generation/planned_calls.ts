/** @file The calls of tools that an answer may hold, or has to, and what holds them to their tools' schemas. */
import { printGrammar, type Rules } from "../../text/grammar/expression.ts";
import type { ReasoningStart } from "../../text/reasoning.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import {
  callsGrammar,
  callsOrDocumentGrammar,
  callsOrTextGrammar,
  textThenCallsGrammar,
  type Tool,
} from "../../text/tool_calls/calls_grammar.ts";
import { callMarks, marksOf, type ToolCallFormat } from "../../text/tool_calls/formats.ts";
import { HttpError } from "../errors.ts";
import type { ChatRequest } from "../requests/chat_request.ts";
import { followed } from "../requests/structured_output.ts";
import type { OfferedTools } from "../requests/tools.ts";
import type { AnswerForm } from "./answer_reader.ts";

/** The calls that an answer may hold, or has to. */
export interface PlannedCalls {
  readonly reading: AnswerForm["calls"];
  readonly marks: readonly string[];
  readonly grammar?: string;
  readonly grammarAfter?: number;
  readonly grammarElse?: string;
  /** Whether any text may come before them, thoughts among it. */
  readonly takesText?: boolean;
  readonly opening?: Uint32Array;
}

/** @param document what an answer has to be that is no call; null if nothing */
export function callsOf(
  request: ChatRequest,
  { tools, isRequired, named }: OfferedTools,
  document: AskedDocument | null,
  format: ToolCallFormat,
  tokenizer: Tokenizer,
  start: ReasoningStart,
): PlannedCalls | null {
  if (tools.length === 0) return null;
  const { parallel_tool_calls: parallel = true } = request;
  const names = new Set(tools.map((tool) => tool.function.name));
  const several = parallel !== false;
  const reading = { format, tools: names, isBegun: false, most: several ? Infinity : 1 };
  const marks = callMarks(format);
  if (!isRequired) {
    if (request.parse_tool_calls === false) return { reading, marks };
    if (document !== null) {
      return { reading, marks, ...callsOrDocument(tools, document, several, format, tokenizer) };
    }
    const isStrict = tools.some((tool) => tool.function.strict);
    return { reading, marks, ...isStrict && strictCalls(tools, several, format, tokenizer) };
  }
  const callable = tools.map((tool) => tool.function).filter(({ name }) => named === null || name === named);
  // Thoughts come between the prompt and the call: then what begins the call is the model's to write, if it is a text.
  const isText = marks.every((mark) => !tokenizer.isSpecial(tokenizer.idOf(mark) ?? -1));
  const begin = start !== "closed" && isText && format.begin !== null;
  const lead = begin ? format.begin + format.space : "";
  const grammar = followed(
    "tools",
    () =>
      callsGrammar(
        format,
        callable.map(({ name, parameters }) => ({ name, parameters: parameters ?? undefined })),
        { several: named === null && several, lead },
      ),
  );
  const opening = start === "closed" && format.begin !== null
    ? tokenizer.encode(format.begin + format.space, { addSpecial: false })
    : undefined;
  return { reading: { ...reading, isBegun: !begin }, marks, grammar, opening };
}

/** What an answer has to be that is no call. */
interface AskedDocument {
  readonly field: string;
  readonly rules: Rules;
}

/** What holds an answer to be calls, or else what the request asks for. */
function callsOrDocument(
  tools: OfferedTools["tools"],
  { field, rules }: AskedDocument,
  several: boolean,
  format: ToolCallFormat,
  tokenizer: Tokenizer,
): Pick<PlannedCalls, "grammar" | "grammarAfter" | "grammarElse"> {
  const control = callMarks(format).find((mark) => tokenizer.isSpecial(tokenizer.idOf(mark) ?? -1));
  const callable = callableOf(tools);
  if (format.begin === null || control === undefined) {
    const lead = format.begin === null ? "" : format.begin + format.space;
    return { grammar: followed("tools", () => callsOrDocumentGrammar(format, callable, { several, lead }, rules)) };
  }
  const [mark, ...more] = tokenizer.encode(format.begin, { addSpecial: false });
  if (more.length > 0) {
    throw new HttpError(
      400,
      `${field} cannot hold beside tools: ${format.begin}, with which this model's calls begin, is several control ` +
        'tokens; expected a tool_choice of "none" or "required"',
      { param: field, code: "unsupported_grammar" },
    );
  }
  return {
    grammar: followed("tools", () => callsGrammar(format, callable, { several, lead: format.space })),
    grammarAfter: mark,
    grammarElse: followed(field, () => printGrammar(rules)),
  };
}

/** Of others than strict tools, any arguments will do. */
function callableOf(tools: OfferedTools["tools"]): Tool[] {
  return tools.map(({ function: { name, parameters, strict } }) => ({
    name,
    parameters: strict ? parameters ?? undefined : { type: "object" },
  }));
}

/** What holds calls to their tools' schemas, where the model decides whether to call any, and some tool is strict. */
function strictCalls(tools: OfferedTools["tools"], several: boolean, format: ToolCallFormat, tokenizer: Tokenizer) {
  const callable = callableOf(tools);
  const { begin, space } = format;
  if (begin === null) return { grammar: followed("tools", () => callsOrTextGrammar(format, callable, { several })) };
  const ids = tokenizer.encode(begin, { addSpecial: false });
  const marks = marksOf(begin);
  if (ids.length !== marks.length || marks.some((mark, at) => tokenizer.idOf(mark) !== ids[at])) {
    return {
      grammar: followed("tools", () => textThenCallsGrammar(format, begin, callable, { several })),
      takesText: true,
    };
  }
  const grammar = followed("tools", () => callsGrammar(format, callable, { several, lead: space }));
  return { grammar, grammarAfter: ids.at(-1), takesText: true };
}
