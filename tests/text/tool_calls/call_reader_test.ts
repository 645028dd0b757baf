import assert from "node:assert/strict";
import { seededRandom } from "../../../fixtures/random.ts";
import { CallReader } from "../../../src/text/tool_calls/call_reader.ts";
import { toolCallFormat } from "../../../src/text/tool_calls/formats.ts";

/** What templates of these families have in them. */
const TEMPLATES = {
  hermes: "For each function call, return a json object within <tool_call></tool_call> XML tags",
  llama: "{{- 'Environment: ipython\\n' }}",
  mistral: "{{ '[TOOL_CALLS][' }}",
  "mistral-names": "{{ '[TOOL_CALLS]' + name + '[ARGS]' + arguments }}",
  internlm: "{{ '<|action_start|><|plugin|>' }}",
  json: "{{ message.content }}",
} as const;
const TOOLS = new Set(["add", "say"]);

/** Text and calls of an answer that comes in these pieces. */
function read(family: keyof typeof TEMPLATES, pieces: readonly string[]) {
  const format = toolCallFormat(TEMPLATES[family]);
  assert.equal(format.name, family);
  const reader = new CallReader(format, TOOLS);
  const parts = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.flush()];
  return {
    text: parts.flatMap((part) => part.type === "text" ? part.text : []).join(""),
    calls: parts.flatMap((part) => part.type === "call" ? `${part.call.name} ${part.call.arguments}` : []),
  };
}

const ADD = 'add {"a": 1, "b": 12345678901234567890}';
const ADD_ARGUMENTS = '{"a": 1, "b": 12345678901234567890}';
const ADD_JSON = `{"name": "add", "arguments": ${ADD_ARGUMENTS}}`;
const ADD_PARAMETERS = `{"name": "add", "parameters": ${ADD_ARGUMENTS}}`;
const SAY_JSON = '{"name": "say", "arguments": {"text": "a } \\"]</tool_call> b"}}';
const SAY = 'say {"text": "a } \\"]</tool_call> b"}';

const CASES: readonly [family: keyof typeof TEMPLATES, answer: string, text: string, calls: readonly string[]][] = [
  ["hermes", "Hello, no call.", "Hello, no call.", []],
  ["hermes", `<tool_call>\n${ADD_JSON}\n</tool_call>`, "", [ADD]],
  [
    "hermes",
    `Let me see.\n\n<tool_call>${ADD_JSON}</tool_call>\n<tool_call>\n${SAY_JSON}\n</tool_call>\n`,
    "Let me see.",
    [ADD, SAY],
  ],
  ["hermes", `<tool_call>\n${ADD_JSON}`, "", [ADD]],
  ["hermes", `<tool_call>\n${ADD_JSON.slice(0, -3)}`, `<tool_call>\n${ADD_JSON.slice(0, -3)}`, []],
  ["hermes", '<tool_call>\n{"name": "fly"}\n</tool_call>', '<tool_call>\n{"name": "fly"}\n</tool_call>', []],
  ["hermes", "<tool_call>\n{name: add}\n</tool_call>", "<tool_call>\n{name: add}\n</tool_call>", []],
  ["hermes", "a < b <tool", "a < b <tool", []],
  ["hermes", `<tool_call>oops <tool_call>${ADD_JSON}</tool_call>`, "<tool_call>oops", [ADD]],
  ["hermes", '<tool_call>{"name": "say"}</tool_call>', "", ["say {}"]],
  ["hermes", '<tool_call>{"name": "say", "arguments": "{\\"x\\": 1}"}</tool_call>', "", ['say {"x": 1}']],
  ["hermes", '<tool_call>{"type": "function", "function": {"name": "say", "arguments": {}}}</tool_call>', "", [
    "say {}",
  ]],
  ["llama", `  ${ADD_PARAMETERS}`, "", [ADD]],
  ["llama", `<|python_tag|>${ADD_PARAMETERS}; ${SAY_JSON}`, "", [ADD, SAY]],
  ["llama", '{"just": "JSON"}', '{"just": "JSON"}', []],
  ["llama", `See: ${ADD_PARAMETERS}`, `See: ${ADD_PARAMETERS}`, []],
  ["mistral", `[TOOL_CALLS] [${ADD_JSON}, ${SAY_JSON}]`, "", [ADD, SAY]],
  ["mistral", `Well. [TOOL_CALLS][${ADD_JSON}]`, "Well.", [ADD]],
  ["mistral", "[TOOL_CALLS] nothing", "[TOOL_CALLS] nothing", []],
  ["mistral-names", `[TOOL_CALLS]add[ARGS]${ADD_ARGUMENTS}[TOOL_CALLS]say[ARGS]{}`, "", [ADD, "say {}"]],
  ["mistral-names", `[TOOL_CALLS]add${ADD_ARGUMENTS}`, "", [ADD]],
  ["mistral-names", `[TOOL_CALLS][${ADD_JSON}]`, "", [ADD]],
  ["mistral-names", "[TOOL_CALLS]fly[ARGS]{}", "[TOOL_CALLS]fly[ARGS]{}", []],
  ["internlm", `I look.<|action_start|><|plugin|>\n${ADD_PARAMETERS}<|action_end|>\n`, "I look.", [ADD]],
  ["json", ADD_JSON, "", [ADD]],
  ["json", `[${ADD_JSON}, ${SAY_JSON}]`, "", [ADD, SAY]],
  ["json", "[1, 2]", "[1, 2]", []],
];

Deno.test("calls are found in every family's form, and what is none stays text", () => {
  for (const [family, answer, text, calls] of CASES) {
    assert.deepEqual(read(family, [answer]), { text, calls }, `${family}: ${answer}`);
  }
});

Deno.test("an answer's pieces do not change what is found in it", () => {
  const random = seededRandom(3);
  for (const [family, answer] of CASES) {
    const whole = read(family, [answer]);
    assert.deepEqual(read(family, [...answer]), whole, `${family}: ${answer}`);
    for (let i = 0; i < 10; i++) {
      const pieces: string[] = [];
      for (let at = 0; at < answer.length;) {
        const end = at + 1 + Math.floor(random() * 12);
        pieces.push(answer.slice(at, end));
        at = end;
      }
      assert.deepEqual(read(family, pieces), whole, `${family}: ${JSON.stringify(pieces)}`);
    }
  }
});
