/**
 * @file Traces, for OpenTelemetry: a span for each request, and within it one each for the queue, the prompt and the tokens.
 *
 * With OTEL_DENO=true Deno exports them; otherwise they are made of nothing and cost nothing.
 */
import {
  context as contexts,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import type { GenerationRequest } from "../contract/generation.ts";
import type { ChoiceObserver } from "./generation/choice_observer.ts";
import type { RunReport } from "./generation/outcome.ts";

/** How propagators read headers. */
const HEADERS: TextMapGetter<Headers> = {
  keys: (headers) => [...headers.keys()],
  get: (headers, name) => headers.get(name) ?? undefined,
};

/** Where spans go. */
export function defaultTracer(): Tracer {
  return trace.getTracer("ebb");
}

/** A request's span. */
export class RequestTrace {
  readonly #span: Span;
  readonly #tracer: Tracer;

  /** @param arrival `performance.now()` when the request arrived */
  constructor(tracer: Tracer, request: Request, arrival: number) {
    this.#tracer = tracer;
    // Deno's own span, where it makes one for the server, or else that of the caller's trace.
    const active = contexts.active();
    const parent = trace.getSpan(active) ? active : propagation.extract(active, request.headers, HEADERS);
    const { method } = request;
    this.#span = tracer.startSpan(method, { kind: SpanKind.SERVER, startTime: epoch(arrival) }, parent);
    this.#span.setAttribute("http.request.method", method);
  }

  /** Watches a choice; its spans are made when it ends, for only then is it known when each part began. */
  observe({ prompt, kvCache: { policy } }: GenerationRequest, index: number): ChoiceObserver {
    const parent = trace.setSpan(contexts.active(), this.#span);
    const part = (name: string, from: number, to: number, attributes: Record<string, string | number>) => {
      const options = { startTime: epoch(from), attributes: { "ebb.choice": index, ...attributes } };
      this.#tracer.startSpan(name, options, parent).end(epoch(to));
    };
    return {
      ended({ outcome, tokens, times: { queued, scheduled, firstToken, ended } }) {
        const read = scheduled ?? queued;
        if (scheduled !== null) part("queue", queued, scheduled, {});
        part("prefill", read, firstToken ?? ended, {
          "gen_ai.usage.input_tokens": prompt.length,
          "ebb.policy": policy,
        });
        if (firstToken === null) return;
        part("decode", firstToken, ended, {
          "gen_ai.usage.output_tokens": tokens,
          "gen_ai.response.finish_reasons": outcome,
        });
      },
    };
  }

  /** @param route the route's pattern */
  end({ method, route, status, run }: { method: string; route: string; status: number; run: RunReport | undefined }) {
    const span = this.#span;
    span.updateName(`${method} ${route}`);
    span.setAttributes({ "http.route": route, "http.response.status_code": status });
    if (run) {
      span.setAttributes({
        "gen_ai.usage.input_tokens": run.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": run.usage.completion_tokens,
        "gen_ai.response.finish_reasons": [...run.outcomes],
      });
    }
    if (status >= 500 || run?.outcomes.includes("error")) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
}

/** Milliseconds since 1970, of `performance.now()`. */
function epoch(time: number): number {
  return performance.timeOrigin + time;
}
