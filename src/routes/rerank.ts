/** @file `POST /v1/rerank`: how well documents answer a query, the best first; as Jina's, Cohere's and vLLM's. */
import type { Context } from "hono";
import type { Encoded, Encoder, EncodeTextsOptions } from "../contract/encoder.ts";
import type { RouteEnvironment, ServerContext } from "./context.ts";
import { requireEncoder, truncationOf, untilStopped } from "./embeddings.ts";
import { rerankRequest } from "./requests/encoder_requests.ts";
import { readRequest } from "./requests/read.ts";

/** Handles `POST /v1/rerank`. */
export function rerankHandler(context: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(context, c.req.raw, rerankRequest);
    const encoder = requireEncoder(context, request.model);
    const { query, documents } = request;
    const score = encoder.model.kind === "reranker" ? encoder.score.bind(encoder) : cosines(encoder);
    const truncate = truncationOf(request.truncate_prompt_tokens, encoder.model.maximumTokens);
    const scored = await untilStopped(
      context,
      c,
      (signal) => score(query, documents, { field: "documents", signal, truncate }),
    );
    const tokens = scored.reduce((sum, { tokens }) => sum + tokens, 0);
    const results = scored.map(({ values }, index) => ({
      index,
      relevance_score: values[0],
      ...request.return_documents && { document: { text: documents[index] } },
    })).sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
    return c.json({
      id: `rerank-${c.var.requestId}`,
      object: "list",
      model: encoder.model.id,
      results: results.slice(0, request.top_n ?? results.length),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
}

/** A model that makes vectors scores by the angle between the query's and the document's. */
function cosines(encoder: Encoder): Encoder["score"] {
  return async (query: string, documents: readonly string[], options: EncodeTextsOptions): Promise<Encoded[]> => {
    const [asked] = await encoder.embed([query], { ...options, field: "query" });
    const vectors = await encoder.embed(documents, options);
    return vectors.map(({ values, tokens }, at) => ({
      values: Float32Array.of(cosine(asked.values, values)),
      // The query is read once.
      tokens: tokens + (at === 0 ? asked.tokens : 0),
    }));
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  const lengths = Math.hypot(...a) * Math.hypot(...b);
  return lengths === 0 ? 0 : a.reduce((sum, value, i) => sum + value * b[i], 0) / lengths;
}
