/**
 * @file Finds out what a chat template expects, by rendering small conversations: templates say it nowhere else.
 *
 * OpenAI's API sends the arguments of a tool call as JSON text. Some templates walk through them or print them with `tojson`,
 * and need them as an object; others put them into the prompt as they are, and need the text. Content comes as a text or as a
 * list of parts; some templates walk through the parts, others know texts only.
 */

/** Renders a conversation with a tool; undefined where the template refuses it. */
export type Probe = (messages: readonly Readonly<Record<string, unknown>>[]) => string | undefined;

export class TemplateForms {
  readonly #probe: Probe;
  #argumentsAsObject: boolean | undefined;
  readonly #partsOfRole = new Map<string, boolean>();

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** Whether arguments of tool calls are to be given as objects rather than as JSON text. */
  get argumentsAsObject(): boolean {
    return this.#argumentsAsObject ??= this.#takesObject() || !this.#takesText();
  }

  /** Whether messages of a role may have a list of parts as their content. */
  takesParts(role: string): boolean {
    const known = this.#partsOfRole.get(role);
    if (known !== undefined) return known;
    const prompt = this.#probe(conversationWith(role, [{ type: "text", text: PART }]));
    // A template that knows texts only may print a list as Python or JSON writes it.
    const takes = prompt !== undefined && prompt.includes(PART) && !/['"]type['"]: ['"]text['"]/.test(prompt);
    this.#partsOfRole.set(role, takes);
    return takes;
  }

  #takesObject(): boolean {
    return this.#renders(
      new Map([[KEY, VALUE]]),
      (prompt) => prompt.includes(KEY) && prompt.includes(VALUE) && !prompt.includes(`{'${KEY}': '${VALUE}'}`),
    );
  }

  #takesText(): boolean {
    const text = `{"${KEY}": "${VALUE}"}`;
    return this.#renders(text, (prompt) => prompt.includes(text));
  }

  #renders(args: unknown, isGood: (prompt: string) => boolean): boolean {
    return callConversations(args).some((messages) => {
      const prompt = this.#probe(messages);
      return prompt !== undefined && isGood(prompt);
    });
  }
}

const KEY = "ebb_key";
const VALUE = "ebb_value";
const PART = "ebb_part";
const USER = { role: "user", content: "Hello" };

/** A tool for conversations that have calls of it. */
export const PROBE_TOOL = {
  type: "function",
  function: {
    name: "ebb_tool",
    description: "A tool.",
    parameters: { type: "object", properties: { [KEY]: { type: "string", description: "A key." } }, required: [KEY] },
  },
};

function assistantCall(args: unknown, content: string | null) {
  // Mistral's templates want ids of nine letters and digits.
  const call = { id: "ebbcall01", type: "function", function: { name: "ebb_tool", arguments: args } };
  return { role: "assistant", content, tool_calls: [call] };
}

const TOOL_RESULT = { role: "tool", tool_call_id: "ebbcall01", name: "ebb_tool", content: "Done" };

/** The same call in all the surroundings that templates are known to ask for. */
function callConversations(args: unknown) {
  return [null, ""].flatMap((content) => [
    [USER, assistantCall(args, content), TOOL_RESULT],
    [USER, assistantCall(args, content)],
  ]);
}

function conversationWith(role: string, content: unknown) {
  switch (role) {
    case "user":
      return [{ role, content }];
    case "assistant":
      return [USER, { role, content }];
    case "tool":
      return [USER, assistantCall(new Map([[KEY, VALUE]]), null), { ...TOOL_RESULT, content }];
    default:
      return [{ role, content }, USER];
  }
}
