import assert from "node:assert/strict";
import { context, type Span, type SpanOptions, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import { TOKEN } from "../support/fake_text.ts";
import { startApp } from "./harness.ts";

/** What was recorded of a span. */
interface Recorded {
  name: string;
  readonly parent: Recorded | undefined;
  readonly start: number;
  end: number;
  status?: SpanStatusCode;
  readonly attributes: Record<string, unknown>;
}

/** A tracer that keeps all spans, in the order in which they were started. */
function recorder(): { tracer: Tracer; spans: Recorded[] } {
  const spans: Recorded[] = [];
  const bySpan = new WeakMap<Span, Recorded>();
  const tracer = {
    startSpan(name: string, { startTime, attributes = {} }: SpanOptions, parent = context.active()) {
      const parentSpan = trace.getSpan(parent);
      const recorded: Recorded = {
        name,
        parent: parentSpan && bySpan.get(parentSpan),
        start: startTime as number,
        end: NaN,
        attributes: { ...attributes },
      };
      const span = {
        setAttribute: (key: string, value: unknown) => void (recorded.attributes[key] = value),
        setAttributes: (values: object) => void Object.assign(recorded.attributes, values),
        updateName: (to: string) => void (recorded.name = to),
        setStatus: ({ code }: { code: SpanStatusCode }) => void (recorded.status = code),
        end: (at: number = performance.timeOrigin + performance.now()) => void (recorded.end = at),
        spanContext: () => ({ traceId: "t", spanId: "s", traceFlags: 1 }),
      } as unknown as Span;
      bySpan.set(span, recorded);
      spans.push(recorded);
      return span;
    },
  } as unknown as Tracer;
  return { tracer, spans };
}

Deno.test("a request is a span, with one each for its queue, its prompt and its tokens", async () => {
  const { tracer, spans } = recorder();
  const script = { tokens: [TOKEN.one, TOKEN.two], waitedSeconds: 0 };
  const { post } = startApp(script, { tracer });
  await (await post("/v1/completions", { prompt: "abc", max_tokens: 2 })).text();
  const [request, queue, prefill, decode] = spans;
  assert.deepEqual(spans.map(({ name }) => name), ["POST /v1/completions", "queue", "prefill", "decode"]);
  for (const part of [queue, prefill, decode]) assert.equal(part.parent, request);
  assert.ok(request.start <= queue.start && queue.end <= prefill.end);
  assert.equal(prefill.start, queue.end);
  assert.equal(decode.start, prefill.end);
  assert.ok(decode.end <= request.end);
  assert.deepEqual(request.attributes, {
    "http.request.method": "POST",
    "http.route": "/v1/completions",
    "http.response.status_code": 200,
    "gen_ai.usage.input_tokens": 4,
    "gen_ai.usage.output_tokens": 2,
    "gen_ai.response.finish_reasons": ["length"],
  });
  assert.equal(request.status, undefined);
});

Deno.test("a request that fails is an error; one for no tokens has no parts; a path is never a name", async () => {
  const { tracer, spans } = recorder();
  const { app, post } = startApp({ tokens: [], failure: "Lost" }, { tracer });
  await post("/v1/completions", { prompt: "abc" });
  await app.request("/v1/models/fake-model");
  await app.request("/secret");
  const requests = spans.filter(({ parent }) => parent === undefined);
  assert.deepEqual(requests.map(({ name, status }) => [name, status]), [
    ["POST /v1/completions", SpanStatusCode.ERROR],
    ["GET /v1/models/:id{[\\s\\S]+}", undefined],
    ["GET unknown", undefined],
  ]);
});
