/** @file Members of a request's objects that are hardly meant as they are spelt. */
import assert from "node:assert/strict";
import { TOKEN } from "../../support/fake_text.ts";
import { readError, startApp } from "../harness.ts";

const messages = [{ role: "user", content: "x" }];
const COMPLETIONS = { path: "/v1/completions", body: { prompt: "x" } };
const CHAT = { path: "/v1/chat/completions", body: { messages } };
const RESPONSES = { path: "/v1/responses", body: { input: "x" } };
const MESSAGES = { path: "/v1/messages", body: { messages, max_tokens: 5 } };
const SCHEMA = { type: "object", properties: {} };

const SLIPS: readonly (readonly [{ path: string; body: object }, fields: object, param: string, meant: string])[] = [
  [
    COMPLETIONS,
    { stream: true, stream_options: { inlcude_usage: true } },
    "stream_options.inlcude_usage",
    "include_usage",
  ],
  [
    CHAT,
    { stream: true, stream_options: { include_usage: true, continous_usage_stats: true } },
    "stream_options.continous_usage_stats",
    "continuous_usage_stats",
  ],
  [
    CHAT,
    { response_format: { type: "json_schema", json_schema: { name: "n", shema: SCHEMA } } },
    "response_format.json_schema.shema",
    "schema",
  ],
  [CHAT, { response_format: { type: "json_object", scheam: SCHEMA } }, "response_format.scheam", "schema"],
  [COMPLETIONS, { structured_outputs: { choices: ["a", "b"] } }, "structured_outputs.choices", "choice"],
  [
    CHAT,
    { tools: [{ type: "function", function: { name: "f", paramters: SCHEMA } }] },
    "tools[0].function.paramters",
    "parameters",
  ],
  [
    CHAT,
    { tools: [{ type: "function", function: { name: "f", strickt: true } }] },
    "tools[0].function.strickt",
    "strict",
  ],
  [
    CHAT,
    { tools: [{ type: "function", function: { name: "f", descripton: "Adds." } }] },
    "tools[0].function.descripton",
    "description",
  ],
  [RESPONSES, { reasoning: { efort: "low" } }, "reasoning.efort", "effort"],
  [RESPONSES, { text: { fromat: { type: "json_object" } } }, "text.fromat", "format"],
  [RESPONSES, { text: { format: { type: "json_schema", name: "n", shcema: SCHEMA } } }, "text.format.shcema", "schema"],
  [
    RESPONSES,
    { tools: [{ type: "web_search" }, { type: "function", name: "f", parameter: SCHEMA }] },
    "tools[1].parameter",
    "parameters",
  ],
  [MESSAGES, { tools: [{ name: "f", input_shema: SCHEMA }] }, "tools[0].input_shema", "input_schema"],
  [MESSAGES, { thinking: { type: "enabled", budget_token: 5 } }, "thinking.budget_token", "budget_tokens"],
  [MESSAGES, { output_config: { effrot: "low" } }, "output_config.effrot", "effort"],
  [
    MESSAGES,
    { output_config: { format: { type: "json_schema", shema: SCHEMA } } },
    "output_config.format.shema",
    "schema",
  ],
  [
    MESSAGES,
    { tools: [{ name: "f", input_schema: SCHEMA }], tool_choice: { type: "auto", disable_paralel_tool_use: true } },
    "tool_choice.disable_paralel_tool_use",
    "disable_parallel_tool_use",
  ],
];

for (const [{ path, body }, fields, param, meant] of SLIPS) {
  Deno.test(`${param} is refused by ${path}, with what was probably meant`, async () => {
    const { post, engine } = startApp({ tokens: [TOKEN.end] });
    const response = await post(path, { ...body, ...fields });
    assert.equal(response.status, 400);
    const { error: { message } } = await response.clone().json();
    assert.ok(message.startsWith(`${param} is `) && message.endsWith(`; did you mean ${meant}?`), message);
    if (path !== MESSAGES.path) assert.equal((await readError(response)).param, param);
    assert.equal(engine.requests.length, 0);
  });
}

Deno.test("members that others know and that change nothing are let pass, and so is what is null", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const definition = { name: "f", description: "d", parameters: SCHEMA, strict: false, returns: {}, stict: null };
  const taken: [typeof CHAT | typeof RESPONSES | typeof MESSAGES | typeof COMPLETIONS, object][] = [
    [CHAT, { stream: true, stream_options: { include_usage: true, include_obfuscation: false, chunks: 1 } }],
    [CHAT, { tools: [{ type: "function", function: definition, cache_control: { type: "ephemeral" } }] }],
    [CHAT, {
      response_format: {
        type: "json_schema",
        json_schema: { name: "n", description: "d", strict: true, schema: SCHEMA, version: 1 },
      },
    }],
    [COMPLETIONS, { structured_outputs: { regex: "a", disable_any_whitespace: true, _backend: "x" } }],
    [RESPONSES, { reasoning: { effort: "low", summary: "auto", generate_summary: null, context: "auto" } }],
    [RESPONSES, {
      tools: [
        { type: "function", ...definition },
        { type: "web_search", filters: {}, search_context_size: "low", user_location: null },
        { type: "file_search", vector_store_ids: ["v"], max_num_results: 3 },
        { type: "custom", name: "c", format: { type: "text" } },
        { type: "mcp", server_label: "l", server_url: "u", require_approval: "never", allowed_tools: [] },
      ],
    }],
    [MESSAGES, {
      thinking: { type: "enabled", budget_tokens: 5, display: "omitted" },
      tools: [
        { name: "f", description: "d", input_schema: SCHEMA, cache_control: null, input_examples: [], strict: false },
        { type: "web_search_20250305", name: "web_search", max_uses: 3, allowed_domains: [] },
      ],
    }],
  ];
  for (const [{ path, body }, fields] of taken) {
    const response = await post(path, { ...body, ...fields });
    assert.equal(response.status, 200, `${JSON.stringify(fields)}: ${await response.clone().text()}`);
  }
});
