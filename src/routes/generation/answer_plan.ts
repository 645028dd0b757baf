/**
 * @file What a chat answer has to be: text, a document, or calls of tools; with thoughts before it or not. Decided before the
 * engine is asked, from the request, the chat template and the rendered prompt.
 */
import type { Reasoning } from "../../contract/generation.ts";
import { type ReasoningMarks, reasoningMarks, type ReasoningStart, reasoningStart } from "../../text/reasoning.ts";
import { printGrammar } from "../../text/grammar/expression.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { toolCallFormat } from "../../text/tool_calls/formats.ts";
import { HttpError } from "../errors.ts";
import type { ChatRequest } from "../requests/chat_request.ts";
import { answerRules, followed } from "../requests/structured_output.ts";
import { offeredTools } from "../requests/tools.ts";
import type { AnswerForm } from "./answer_reader.ts";
import { callsOf } from "./planned_calls.ts";

/** Everything that is decided about an answer before it is generated. */
export interface AnswerPlan {
  /** As in GenerationRequest. */
  readonly grammar: string | undefined;
  /** As in GenerationRequest. */
  readonly grammarAfter: number | undefined;
  /** As in GenerationRequest. */
  readonly grammarElse: string | undefined;
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
  const offered = offeredTools(request);
  const { tools } = offered;
  const source = tools.length > 0 ? template.toolUseSource ?? template.source : template.source;
  const marks = reasoningMarks(source);
  const start = startOf(request, prompt, marks);
  const document = answerRules(request);
  const calls = callsOf(request, offered, document, toolCallFormat(source), tokenizer, start);
  const grammar = calls?.grammar ??
    (document === null ? undefined : followed(document.field, () => printGrammar(document.rules)));
  // Where thoughts cannot be told by tokens, what begins a call is looked for in them, too.
  const isBound = grammar !== undefined &&
    (!calls?.takesText || (marks !== null && tokenizer.idOf(marks.end) !== undefined));
  return {
    grammar,
    grammarAfter: calls?.grammarAfter,
    grammarElse: calls?.grammarElse,
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
