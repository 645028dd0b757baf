/** @file `GET /openapi.json`: every endpoint, with the schemas of the requests that it takes. */
import type { Context } from "hono";
import { z } from "zod";
import { countTokensRequest, messagesRequest } from "../messages/request.ts";
import { applyTemplateRequest, chatRequest } from "../requests/chat_request.ts";
import { completionRequest } from "../requests/completion_request.ts";
import { embeddingRequest, rerankRequest } from "../requests/encoder_requests.ts";
import { detokenizeRequest, tokenizeChatRequest, tokenizeTextRequest } from "../requests/text_requests.ts";
import { responsesRequest } from "../responses/request.ts";
import { VERSION } from "../version.ts";
import { type JsonSchema, requestSchema } from "./request_schema.ts";

/** An endpoint as the document describes it. */
interface Endpoint {
  readonly path: string;
  readonly summary: string;
  /** The request's body; without one the method is GET. */
  readonly body?: z.ZodType;
  /** Whether the reply can be an event stream. */
  readonly streams?: true;
}

const ENDPOINTS: readonly Endpoint[] = [
  { path: "/v1/chat/completions", summary: "Replies to a conversation", body: chatRequest, streams: true },
  { path: "/v1/completions", summary: "Continues texts", body: completionRequest, streams: true },
  {
    path: "/v1/responses",
    summary: "Replies to a conversation, in the form of OpenAI's Responses API; nothing is kept",
    body: responsesRequest,
    streams: true,
  },
  {
    path: "/v1/messages",
    summary: "Replies to a conversation, in the form of Anthropic's API",
    body: messagesRequest,
    streams: true,
  },
  {
    path: "/v1/messages/count_tokens",
    summary: "Counts the tokens of a conversation, in the form of Anthropic's API",
    body: countTokensRequest,
  },
  {
    path: "/v1/embeddings",
    summary: "Vectors of texts, by the encoder or by the model that generates",
    body: embeddingRequest,
  },
  {
    path: "/v1/rerank",
    summary: "Texts by how well they answer a question, if an encoder is served",
    body: rerankRequest,
  },
  { path: "/apply-template", summary: "The prompt that a chat completion would read", body: applyTemplateRequest },
  {
    path: "/tokenize",
    summary: "The tokens of a text or of a conversation",
    body: z.union([tokenizeTextRequest, tokenizeChatRequest]),
  },
  { path: "/detokenize", summary: "The text of tokens", body: detokenizeRequest },
  { path: "/", summary: "The playground, a page for people" },
  { path: "/v1/models", summary: "The served model" },
  { path: "/v1/kv/policies", summary: "KV cache policies that a request can name, and their options" },
  { path: "/v1/kv/sequences", summary: "What waits and runs now, and the cache rows that each sequence holds" },
  { path: "/health", summary: "200 when requests are taken, 503 and the reason when not" },
  { path: "/metrics", summary: "Metrics in Prometheus's text format" },
  { path: "/version", summary: "The version of this server" },
];

const JSON_REPLY = { "application/json": { schema: { type: "object" } } };
const ERROR = {
  description: "An error: what was wrong, in which field, and what was expected",
  content: {
    "application/json": {
      schema: {
        type: "object",
        required: ["error"],
        properties: {
          error: {
            type: "object",
            properties: {
              message: { type: "string" },
              type: { type: "string" },
              param: { type: ["string", "null"] },
              code: { type: ["string", "null"] },
            },
          },
        },
      },
    },
  },
};

/** One operation of the document, as far as the page shows it. */
export interface Operation {
  readonly summary: string;
  readonly requestBody?: {
    readonly required: true;
    readonly content: { readonly "application/json": { readonly schema: JsonSchema } };
  };
  readonly [field: string]: unknown;
}

/** The OpenAPI document of this server. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

function operation({ summary, body, streams }: Endpoint): Operation {
  return {
    summary,
    ...body && {
      requestBody: { required: true, content: { "application/json": { schema: requestSchema(body) } } },
    },
    responses: {
      200: {
        description: streams ? "The reply; with stream, events" : "The reply",
        content: { ...JSON_REPLY, ...streams && { "text/event-stream": { schema: { type: "string" } } } },
      },
      default: ERROR,
    },
  };
}

let made: OpenApiDocument | undefined;

/** The document; made when it is first asked for. */
export function openApiDocument(): OpenApiDocument {
  return made ??= {
    openapi: "3.1.0",
    info: { title: "Ebb", version: VERSION },
    paths: Object.fromEntries(
      ENDPOINTS.map((endpoint) => [endpoint.path, { [endpoint.body ? "post" : "get"]: operation(endpoint) }]),
    ),
  };
}

/** Handles `GET /openapi.json`. */
export function openApiHandler(c: Context): Response {
  return c.json(openApiDocument());
}
