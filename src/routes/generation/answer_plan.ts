/**
 * @file What a chat answer has to be: text, a document, or calls of tools; with thoughts before it or not. Decided before the
 * engine is asked, from the request, the chat template and the rendered prompt.
 */
import type { Reasoning } from "../../contract/generation.ts";
import { type ReasoningMarks, reasoningMarks, type ReasoningStart, reasoningStart } from "../../text/reasoning.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { callsGrammar, callsOrTextGrammar, textThenCallsGrammar } from "../../text/tool_calls/calls_grammar.ts";
import { callMarks, marksOf, type ToolCallFormat, toolCallFormat } from "../../text/tool_calls/formats.ts";
import { HttpError } from "../errors.ts";
import type { ChatRequest } from "../requests/chat_request.ts";
import { answerGrammar, followed } from "../requests/structured_output.ts";
import type { AnswerForm } from "./answer_reader.ts";

/** Everything that is decided about an answer before it is generated. */
export interface AnswerPlan {
  /** As in GenerationRequest. */
  readonly grammar: string | undefined;
  /** As in GenerationRequest. */
  readonly grammarAfter: number | undefined;
  /** As in GenerationRequest. */
  readonly reasoning: Reasoning | undefined;
  /** Tokens behind the prompt with which the answer has begun; none are reported. */
  readonly opening: Uint32Array;
  /** How what is generated is read. */
  readonly form: AnswerForm;
}

/** What a chat template says of answers. */
interface TemplateSource {
  readonly source: string;
  readonly toolUseSource?: string;
}

/**
 * Plans the answer to a conversation whose prompt ends like `prompt`.
 *
 * @throws {HttpError} 400 if the request asks for what this model cannot do
 */
export function planAnswer(
  request: ChatRequest,
  template: TemplateSource,
  tokenizer: Tokenizer,
  prompt: string,
): AnswerPlan {
  const tools = request.tool_choice === "none" ? [] : request.tools ?? [];
  const source = tools.length > 0 ? template.toolUseSource ?? template.source : template.source;
  const marks = reasoningMarks(source);
  const start = startOf(request, prompt, marks);
  const calls = callsOf(request, tools, toolCallFormat(source), tokenizer, start);
  const grammar = calls?.grammar ?? answerGrammar(request)?.grammar;
  // Where thoughts cannot be told by tokens, what begins a call is looked for in them, too.
  const isBound = grammar !== undefined &&
    (!calls?.takesText || (marks !== null && tokenizer.idOf(marks.end) !== undefined));
  return {
    grammar,
    grammarAfter: calls?.grammarAfter,
    reasoning: reasoningOf(request, { marks, start, isBound }, tokenizer),
    opening: calls?.opening ?? new Uint32Array(),
    form: {
      marks: request.reasoning_format === "none" ? null : marks,
      start,
      hidesReasoning: request.include_reasoning === false,
      calls: request.parse_tool_calls === false ? null : calls?.reading ?? null,
      shown: new Set(shownTokens(tokenizer, [marks?.begin, marks?.end, ...calls?.marks ?? []])),
    },
  };
}

function startOf(request: ChatRequest, prompt: string, marks: ReasoningMarks | null): ReasoningStart {
  if (marks === null) return "closed";
  const start = reasoningStart(prompt, marks);
  // A message that is gone on with has its thoughts behind it.
  return start === "possible" && request.continue_final_message ? "closed" : start;
}

type Tools = NonNullable<ChatRequest["tools"]>;

/** The calls that an answer may hold, or has to. */
interface PlannedCalls {
  readonly reading: AnswerForm["calls"];
  readonly marks: readonly string[];
  readonly grammar?: string;
  readonly grammarAfter?: number;
  /** Whether any text may come before them, thoughts among it. */
  readonly takesText?: boolean;
  readonly opening?: Uint32Array;
}

function callsOf(
  request: ChatRequest,
  tools: Tools,
  format: ToolCallFormat,
  tokenizer: Tokenizer,
  start: ReasoningStart,
): PlannedCalls | null {
  if (tools.length === 0) return null;
  const { tool_choice: choice, parallel_tool_calls: parallel = true } = request;
  const names = new Set(tools.map((tool) => tool.function.name));
  const several = parallel !== false;
  const reading = { format, tools: names, isBegun: false, most: several ? Infinity : 1 };
  const marks = callMarks(format);
  if (choice !== "required" && typeof choice !== "object" || choice === null) {
    const isStrict = request.parse_tool_calls !== false && tools.some((tool) => tool.function.strict);
    return { reading, marks, ...isStrict && strictCalls(tools, several, format, tokenizer) };
  }
  const named = typeof choice === "object" ? choice.function.name : null;
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

/** What holds calls to their tools' schemas, where the model decides whether to call any, and some tool is strict. */
function strictCalls(tools: Tools, several: boolean, format: ToolCallFormat, tokenizer: Tokenizer) {
  const callable = tools.map(({ function: { name, parameters, strict } }) => ({
    name,
    // Of others than strict tools, any arguments will do.
    parameters: strict ? parameters ?? undefined : { type: "object" },
  }));
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

/** The thoughts before an answer, as the engine has to know them. */
function reasoningOf(
  request: ChatRequest,
  { marks, start, isBound }: { marks: ReasoningMarks | null; start: ReasoningStart; isBound: boolean },
  tokenizer: Tokenizer,
): Reasoning | undefined {
  const [field, wanted] = request.thinking_token_budget == null
    ? ["reasoning_budget", request.reasoning_budget] as const
    : ["thinking_token_budget", request.thinking_token_budget] as const;
  const budget = wanted == null || wanted < 0 ? undefined : wanted;
  if (marks === null || start === "closed") return undefined;
  if (budget === undefined && !isBound) return undefined;
  const [begin, end] = [tokenizer.idOf(marks.begin), tokenizer.idOf(marks.end)];
  if (end === undefined || (start === "possible" && begin === undefined)) {
    // Where thoughts are only possible, a grammar leaves no room for them.
    if (budget === undefined && start === "possible") return undefined;
    throw new HttpError(
      400,
      `The model's vocabulary has no token for ${marks.end}, with which its thoughts end: expected no ` +
        (budget === undefined ? "grammar, unless the chat template can leave thoughts out" : field),
      { param: budget === undefined ? "response_format" : field, code: "unsupported_reasoning" },
    );
  }
  const closing = tokenizer.encode(`\n${marks.end}\n\n`, { addSpecial: false });
  return { begin: start === "open" ? null : begin!, end, budget, closing: [...closing] };
}

/** The control tokens among some texts: they are left out of answers unless they are asked for. */
function shownTokens(tokenizer: Tokenizer, texts: readonly (string | undefined)[]): number[] {
  return texts.flatMap((text) => {
    const id = text === undefined ? undefined : tokenizer.idOf(text);
    return id !== undefined && tokenizer.isSpecial(id) && !tokenizer.endTokens.includes(id) ? [id] : [];
  });
}
