/** @file The forms in which families of models write tool calls, as data, and which of them a chat template means. */

/** How a model writes calls: `{"name": ..., "arguments": ...}`, with marks around it. */
export interface ToolCallFormat {
  readonly name: "hermes" | "mistral" | "mistral-names" | "llama" | "internlm" | "json";
  /** What a chat template that means this form has in it. */
  readonly sign: RegExp;
  /** What comes before a call, or a list of them; null where an answer that is JSON is a call. */
  readonly begin: string | null;
  /** What may come before a call where `begin` is null, and is dropped. */
  readonly lead?: string;
  /** What comes behind it. */
  readonly end: string | null;
  /** Whether the name stands before the arguments, with this between them, instead of within JSON. */
  readonly nameEnd?: string;
  /** What the model calls the arguments. */
  readonly argumentsKey: "arguments" | "parameters";
  /** What comes between two calls that are both to be made; null where they stand in one list, or in none. */
  readonly separator: string | null;
  readonly isList: boolean;
  /** Between `begin` and the call, as the model was taught. */
  readonly space: string;
  /** Ids of nine letters and digits, which its template asks for. */
  readonly shortIds?: boolean;
}

/** The first one counts that a template shows a sign of. */
const FORMATS: readonly ToolCallFormat[] = [
  {
    name: "internlm",
    sign: /<\|action_start\|>/,
    begin: "<|action_start|><|plugin|>",
    end: "<|action_end|>",
    argumentsKey: "parameters",
    separator: null,
    isList: false,
    space: "\n",
  },
  {
    name: "mistral-names",
    sign: /\[TOOL_CALLS\][^]*\[ARGS\]|\[ARGS\][^]*\[TOOL_CALLS\]/,
    begin: "[TOOL_CALLS]",
    end: null,
    nameEnd: "[ARGS]",
    argumentsKey: "arguments",
    separator: null,
    isList: false,
    space: "",
    shortIds: true,
  },
  {
    name: "mistral",
    sign: /\[TOOL_CALLS\]/,
    begin: "[TOOL_CALLS]",
    end: null,
    argumentsKey: "arguments",
    separator: null,
    isList: true,
    space: "",
    shortIds: true,
  },
  {
    name: "hermes",
    sign: /<tool_call>/,
    begin: "<tool_call>",
    end: "</tool_call>",
    argumentsKey: "arguments",
    separator: "\n</tool_call>\n<tool_call>\n",
    isList: false,
    space: "\n",
  },
  {
    name: "llama",
    sign: /<\|python_tag\|>|Environment: ipython/,
    begin: null,
    lead: "<|python_tag|>",
    end: null,
    argumentsKey: "parameters",
    separator: "; ",
    isList: false,
    space: "",
  },
];

const GENERIC: ToolCallFormat = {
  name: "json",
  sign: /^/,
  begin: null,
  end: null,
  argumentsKey: "arguments",
  separator: null,
  isList: true,
  space: "",
};

/** The form that a chat template means; any JSON with a name and arguments where it shows none. */
export function toolCallFormat(templateSource: string): ToolCallFormat {
  return FORMATS.find(({ sign }) => sign.test(templateSource)) ?? GENERIC;
}

/** Texts of control tokens that have to be seen for calls to be found. */
export function callMarks({ begin, end, lead, nameEnd }: ToolCallFormat): string[] {
  return [begin, end, lead, nameEnd].filter((mark) => mark != null).flatMap(marksOf);
}

/** The marks, each of which may be a token, that a text is made of. */
export function marksOf(text: string): string[] {
  return text.match(/<\|[^|]*\|>|\[[A-Z_]+\]|<[^>]*>/g) ?? [];
}
