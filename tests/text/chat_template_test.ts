import assert from "node:assert/strict";
import {
  type ChatMessage,
  type ChatTemplate,
  ChatTemplateError,
  type Conversation,
  loadChatTemplate,
} from "../../src/text/chat_template.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { fakeGguf, sentencePieceMetadata } from "../support/tokenizers.ts";

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const LLAMA3 = "{%- set loop_messages = messages -%}\n" +
  "{%- for message in loop_messages -%}\n" +
  "  {%- set content = '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' -%}\n" +
  "  {%- if loop.index0 == 0 -%}{%- set content = bos_token + content -%}{%- endif -%}\n" +
  "  {{- content -}}\n" +
  "{%- endfor -%}\n" +
  "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}";

const MISTRAL = "{{ bos_token }}{% for message in messages %}" +
  "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}" +
  "{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}" +
  "{% else %}{{ ' ' + message.content + eos_token }}{% endif %}{% endfor %}";

const TALK = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello!" },
  { role: "user", content: "Why?" },
];

function text(chat: ChatTemplate, messages: readonly ChatMessage[], options: Omit<Conversation, "messages"> = {}) {
  return chat.render({ messages, ...options }).text;
}

async function template(
  source: string | undefined,
  words: readonly string[] = [],
  extra: Record<string, unknown> = {},
) {
  const metadata = sentencePieceMetadata(words, {
    ...(source === undefined ? {} : { "tokenizer.chat_template": source }),
    ...extra,
  });
  const tokenizer = ggufTokenizer(metadata);
  return { tokenizer, chat: await loadChatTemplate(fakeGguf(metadata), tokenizer) };
}

Deno.test("A ChatML template writes every message between its marks", async () => {
  const { chat } = await template(CHATML);
  assert.equal(
    text(chat, [{ role: "system", content: "Be brief" }, { role: "user", content: "Hi" }]),
    "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  );
  assert.equal(
    text(chat, [{ role: "user", content: "Hi" }], { addGenerationPrompt: false }),
    "<|im_start|>user\nHi<|im_end|>\n",
  );
  assert.deepEqual(chat.stopStrings, []);
});

Deno.test("A Llama 3 template writes headers and the begin token", async () => {
  const { chat } = await template(LLAMA3);
  assert.equal(
    text(chat, [{ role: "user", content: " Hi " }]),
    "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
  );
});

Deno.test("A Mistral template writes instructions and ends answers with the end token", async () => {
  const { chat } = await template(MISTRAL);
  assert.equal(text(chat, TALK), "<s>[INST] Hi [/INST] Hello!</s>[INST] Why? [/INST]");
});

Deno.test("The begin token that a template writes is the only one", async () => {
  const { chat, tokenizer } = await template(MISTRAL);
  const tokens = Array.from(tokenizer.encode(text(chat, TALK)));
  assert.deepEqual(tokens.filter((id) => id === tokenizer.beginToken), [1]);
  assert.equal(tokens[0], 1);
});

Deno.test("A template's own objection becomes a ChatTemplateError with its words", async () => {
  const { chat } = await template(MISTRAL);
  assert.throws(() => text(chat, [TALK[0], TALK[0]]), (error: Error) => {
    assert.ok(error instanceof ChatTemplateError);
    assert.equal(
      error.message,
      "The model's chat template failed: Conversation roles must alternate user/assistant (line 1 of the template)",
    );
    return true;
  });
});

Deno.test("Content in parts is joined, and parts other than text are refused by their place", async () => {
  const { chat } = await template("{{ messages[0].content }}");
  const parts = [{ type: "text", text: "one" }, { type: "text", text: "two" }];
  assert.equal(text(chat, [{ role: "user", content: parts }]), "one\ntwo");
  assert.throws(() => text(chat, [{ role: "user", content: [parts[0], { type: "image_url" }] }]), {
    name: "ChatTemplateError",
    message: /messages\[0\]\.content\[1\] is of type "image_url"/,
  });
});

Deno.test("Tools reach the template, and arguments of tool calls reach it as objects", async () => {
  const { chat } = await template(
    "{% if tools %}{{ tools[0].function.name }}:{% endif %}{% set call = messages[0].tool_calls[0].function %}" +
      "{{ call.name }} {{ call.arguments.city }}",
  );
  const call = { type: "function", function: { name: "weather", arguments: '{"city":"Ulm"}' } };
  const tools = [{ type: "function", function: { name: "weather" } }];
  assert.equal(text(chat, [{ role: "assistant", tool_calls: [call] }], { tools }), "weather:weather Ulm");
  assert.equal(text(chat, [{ role: "assistant", tool_calls: [call] }]), "weather Ulm");
});

Deno.test("A GGUF file's template for tools is used where tools are given", async () => {
  const { chat } = await template("plain", [], { "tokenizer.chat_template.tool_use": "with tools" });
  assert.equal(text(chat, []), "plain");
  assert.equal(text(chat, [], { tools: [{}] }), "with tools");
});

Deno.test("A model without a template that knows ChatML's tokens gets ChatML", async () => {
  const { chat } = await template(undefined, ["<|im_start|>", "<|im_end|>"]);
  assert.equal(
    text(chat, [{ role: "user", content: "Hi" }]),
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  );
});

Deno.test("A base model without a template gets a transcript, and stops at the user's next turn", async () => {
  const { chat } = await template(undefined);
  assert.equal(
    text(chat, [{ role: "system", content: "A story." }, ...TALK]),
    "A story.\n\nUser: Hi\nAssistant: Hello!\nUser: Why?\nAssistant:",
  );
  assert.deepEqual(chat.stopStrings, ["\nUser:", "\nSystem:"]);
});

Deno.test("A template that is no Jinja is refused when the model is loaded", async () => {
  await assert.rejects(template("{% if %}"), { name: "ModelFileError", message: /chat template is not valid Jinja/ });
  await assert.rejects(template(undefined, [], { "tokenizer.chat_template": 7 }), {
    name: "ModelFileError",
    message: /tokenizer\.chat_template is a number/,
  });
});

Deno.test("A directory's template comes from chat_template.jinja, else from tokenizer_config.json", async () => {
  const path = await Deno.makeTempDir();
  try {
    const tokenizer = ggufTokenizer(sentencePieceMetadata([]));
    const render = async (tools?: unknown[]) =>
      (await loadChatTemplate({ ...fakeGguf({}), format: "safetensors", path }, tokenizer)).render({
        messages: [],
        tools,
      }).text;
    assert.equal(await render(), "Assistant:");
    const configure = (chat_template: unknown) =>
      Deno.writeTextFile(`${path}/tokenizer_config.json`, JSON.stringify({ chat_template }));
    await configure("from the configuration");
    assert.equal(await render(), "from the configuration");
    await configure([{ name: "default", template: "named" }, { name: "tool_use", template: "named for tools" }]);
    assert.equal(await render(), "named");
    assert.equal(await render([{}]), "named for tools");
    await Deno.writeTextFile(`${path}/chat_template.jinja`, "from its own file");
    assert.equal(await render(), "from its own file");
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
