import assert from "node:assert/strict";
import { planAnswer } from "../../../src/routes/generation/answer_plan.ts";
import { HttpError } from "../../../src/routes/errors.ts";
import { chatRequest } from "../../../src/routes/requests/chat_request.ts";
import type { Tokenizer } from "../../../src/text/tokenizer.ts";
import { byteTokens, fakeTokenizer } from "../../support/fake_text.ts";

const BEGIN = 280, END = 281, CALL = 282, ACTION = 283;
const MARKS: Readonly<Record<string, number>> = {
  "<think>": BEGIN,
  "</think>": END,
  "[TOOL_CALLS]": CALL,
  "<|action_start|>": ACTION,
};
/** The fake vocabulary, with tokens for marks; that of calls is a control token. */
const tokenizer: Tokenizer = {
  ...fakeTokenizer,
  idOf: (text) => MARKS[text] ?? fakeTokenizer.idOf(text),
  isSpecial: (id) => id === CALL || id === ACTION || fakeTokenizer.isSpecial(id),
  encode: (text) =>
    Uint32Array.from(
      text.split(/(<think>|<\/think>|\[TOOL_CALLS\]|<\|action_start\|>)/).flatMap((part) =>
        part in MARKS ? MARKS[part] : byteTokens(part)
      ),
    ),
};
const THINKER = { source: "</think> <tool_call>" };
const tools = [{ type: "function", function: { name: "f" } }];

function plan(fields: object, prompt = "assistant\n", template: { source: string } = THINKER) {
  const request = chatRequest.parse({ messages: [{ role: "user", content: "Hi" }], ...fields });
  return planAnswer(request, template, tokenizer, prompt);
}

Deno.test("thoughts are told to the engine where something binds them, or what comes behind them", () => {
  assert.equal(plan({}).reasoning, undefined);
  const closing = [...byteTokens("\n"), END, ...byteTokens("\n\n")];
  assert.deepEqual(plan({ guided_choice: ["a"] }).reasoning, { begin: BEGIN, end: END, budget: undefined, closing });
  assert.deepEqual(plan({ reasoning_budget: 7 }).reasoning, { begin: BEGIN, end: END, budget: 7, closing });
  assert.deepEqual(plan({ thinking_token_budget: 0 }, "<think>\n").reasoning, {
    begin: null,
    end: END,
    budget: 0,
    closing,
  });
  assert.equal(plan({ reasoning_budget: -1 }).reasoning, undefined);
  assert.equal(plan({ reasoning_budget: 7, guided_choice: ["a"] }, "<think>\n\n</think>\n\n").reasoning, undefined);
  assert.equal(plan({ guided_choice: ["a"] }, "", { source: "" }).reasoning, undefined);
});

Deno.test("what begins a required call is in the prompt, or in the grammar behind thoughts, if it is a text", () => {
  const required = { tools, tool_choice: "required" };
  const plain = plan(required, "", { source: "<tool_call>" });
  assert.deepEqual([...plain.opening], byteTokens("<tool_call>\n"));
  assert.ok(plain.form.calls!.isBegun);
  assert.match(plain.grammar!, /root ::= \("" \(call/);
  const thinking = plan(required);
  assert.equal(thinking.opening.length, 0);
  assert.ok(!thinking.form.calls!.isBegun);
  assert.match(thinking.grammar!, /root ::= \("<tool_call>\\u000a" \(call/);
  const mistral = plan(required, "", { source: "[TOOL_CALLS]" });
  assert.deepEqual([...mistral.opening], [CALL]);
  assert.deepEqual([...mistral.form.shown], [CALL]);
  const thinkingMistral = plan(required, "", { source: "[TOOL_CALLS] </think>" });
  assert.equal(thinkingMistral.opening.length, 0);
  assert.ok(thinkingMistral.form.calls!.isBegun);
  assert.doesNotMatch(thinkingMistral.grammar!, /TOOL_CALLS/);
});

Deno.test("strict tools bind what comes behind the token that begins a call, where the model decides whether to call", () => {
  const strict = (fields: object = {}) => ({ type: "function", function: { name: "f", strict: true, ...fields } });
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const mistral = { source: "[TOOL_CALLS]" };
  const bound = plan({ tools: [strict({ parameters }), ...tools] }, "", mistral);
  assert.equal(bound.grammarAfter, CALL);
  assert.match(bound.grammar!, /tool_0_/);
  assert.equal(bound.opening.length, 0);
  assert.ok(!bound.form.calls!.isBegun);
  assert.equal(bound.reasoning, undefined);
  for (
    const fields of [{ tools }, { tools: [strict()], tool_choice: "none" }, {
      tools: [strict()],
      parse_tool_calls: false,
    }]
  ) {
    const free = plan(fields, "", mistral);
    assert.deepEqual([free.grammar, free.grammarAfter], [undefined, undefined]);
  }
  // Required ones are bound from the beginning.
  assert.equal(plan({ tools: [strict()], tool_choice: "required" }, "", mistral).grammarAfter, undefined);
  // What begins a call says nothing in thoughts.
  const thinking = plan({ tools: [strict()] }, "", { source: "[TOOL_CALLS] </think>" });
  assert.deepEqual([thinking.grammarAfter, thinking.reasoning?.begin, thinking.reasoning?.end], [CALL, BEGIN, END]);
});

Deno.test("strict tools bind the whole answer where nothing begins a call, or what does is no token", () => {
  const strict = [{ type: "function", function: { name: "f", strict: true } }];
  const whole = plan({ tools: strict }, "", { source: "" });
  assert.match(whole.grammar!, /\{\\"name\\": \\"f\\"/);
  assert.equal(whole.grammarAfter, undefined);
  const marked = plan({ tools: strict }, "", { source: "<tool_call>" });
  assert.match(marked.grammar!, /root ::= .*begun_0/);
  assert.equal(marked.grammarAfter, undefined);
  assert.ok(!marked.form.calls!.isBegun);
});

Deno.test("strict calls that are seen in the text are seen behind thoughts, whether or not a token ends those", () => {
  const tools = [{ type: "function", function: { name: "f", strict: true } }];
  const behind = plan({ tools }, "<think>\n");
  assert.deepEqual([behind.reasoning?.begin, behind.reasoning?.end], [null, END]);
  const within = plan({ tools }, "<think>\n", { source: "<tool_call> [/THINK]" });
  assert.equal(within.reasoning, undefined);
  assert.match(within.grammar!, /begun_0/);
});

Deno.test("what an answer has to be holds beside tools, of answers that call none", () => {
  const format = { response_format: { type: "json_object" } };
  for (const source of ["", "<tool_call>"]) {
    for (const fields of [format, { guided_choice: ["yes"] }]) {
      const { grammar, grammarAfter, form } = plan({ tools, ...fields }, "", { source });
      assert.match(grammar!, /root ::= \(.*document_root/);
      assert.match(grammar!, /"\{\\"name\\": \\"f\\"/);
      assert.equal(grammarAfter, undefined);
      assert.ok(form.calls);
    }
  }
  // There is no such answer, or no such calls.
  const required = plan({ tools, ...format, tool_choice: "required" }, "", { source: "" });
  assert.equal(required.grammar, plan({ tools, tool_choice: "required" }, "", { source: "" }).grammar);
  for (const alone of [{ tool_choice: "none" }, { parse_tool_calls: false }]) {
    assert.equal(plan({ tools, ...format, ...alone }, "", { source: "" }).grammar, plan(format).grammar);
  }
  // No text of a grammar is a control token.
  const marked = plan({ tools, ...format }, "", { source: "[TOOL_CALLS]" });
  assert.equal(marked.grammarAfter, CALL);
  assert.equal(marked.grammarElse, plan(format).grammar);
  assert.match(marked.grammar!, /"\{\\"name\\": \\"f\\"/);
  assert.throws(() => plan({ tools, ...format }, "", { source: "<|action_start|>" }), (error) => {
    assert.ok(error instanceof HttpError);
    assert.deepEqual([error.status, error.param], [400, "response_format"]);
    return /<\|action_start\|><\|plugin\|>, .* is several control tokens/.test(error.message);
  });
});
