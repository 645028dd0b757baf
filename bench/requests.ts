/** @file How long hostile requests hold the thread that serves everybody else. */
import { HOSTILE_BODIES, type HostileBody } from "../fixtures/hostile_bodies.ts";
import { digits, table } from "../src/charts/text_table.ts";
import type { Engine } from "../src/contract/engine.ts";
import { QueueFullError } from "../src/contract/errors.ts";
import { createApp } from "../src/routes/app.ts";
import { listen } from "../src/routes/listener.ts";
import { EMBEDDED_MODEL } from "../src/serving/embedded_model.ts";
import { builtInPolicies } from "../src/serving/policies.ts";
import { loadText } from "../src/serving/start_engine.ts";

/** What one request came to. */
export interface RequestResult {
  readonly name: string;
  readonly bytes: number;
  readonly status: number;
  /** The longest time in which the thread did nothing else. */
  readonly stallMilliseconds: number;
  /** From its first byte to the end of its reply. */
  readonly milliseconds: number;
}

export interface RequestResults {
  readonly results: readonly RequestResult[];
  readonly worst: RequestResult;
}

/** A model that is always busy: what it would compute is not what is measured. */
const engine: Engine = {
  model: {
    id: "model",
    contextLength: 8192,
    vocabularySize: 0,
    parameterCount: 0,
    weightBytes: 0,
    architecture: "llama",
    hiddenSize: 0,
    pooling: "last",
    quantisation: "F16",
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
  },
  device: "none",
  defaultKvCache: { policy: "full", budget: 1 },
  maxSequences: 272,
  state: "ready",
  fittingTokens: ({ maxTokens }) => maxTokens,
  generate() {
    throw new QueueFullError("The queue is full");
  },
  stats: () => Promise.reject(new Error("There are no statistics")),
};

/** Posts every body to a server with the embedded model's tokenizer and template, one after the other. */
export async function benchmarkRequests(
  { quick }: { quick: boolean },
  progress: (line: string) => void,
): Promise<RequestResults> {
  const { text, chatTemplate } = await loadText(EMBEDDED_MODEL);
  const { vocabularySize } = text.tokenizer;
  const drain = new AbortController();
  const app = createApp({
    engine: { ...engine, model: { ...engine.model, vocabularySize } },
    text,
    chatTemplate,
    options: { policies: builtInPolicies },
  });
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  const client = new Client(server.url);
  try {
    const results: RequestResult[] = [];
    // The first request of all pays for what is compiled then.
    for (const body of [HOSTILE_BODIES.at(-1)!, ...HOSTILE_BODIES]) {
      progress(body.name);
      const runs: RequestResult[] = [];
      for (let run = 0; run < (quick ? 1 : 3); run++) runs.push(await measure(client, body));
      // Of the thread's stalls, those of the machine are not the request's: the least of the runs counts.
      results.push(runs.reduce((best, run) => run.stallMilliseconds < best.stallMilliseconds ? run : best));
    }
    results.shift();
    const worst = results.reduce((worst, result) =>
      result.stallMilliseconds > worst.stallMilliseconds ? result : worst
    );
    return { results, worst };
  } finally {
    client.close();
    drain.abort();
    text.close();
    await server.finished;
  }
}

async function measure(client: Client, { name, path, make }: HostileBody): Promise<RequestResult> {
  const body = new TextEncoder().encode(make());
  const { byteLength: bytes } = body;
  let isOver = false;
  const reply = client.post(path, body).finally(() => isOver = true);
  let stallMilliseconds = 0;
  for (let last = performance.now(); !isOver;) {
    await new Promise((resolve) => setTimeout(resolve));
    const now = performance.now();
    stallMilliseconds = Math.max(stallMilliseconds, now - last);
    last = now;
  }
  return { name, bytes, stallMilliseconds, ...await reply };
}

/** Sends requests from a thread of its own, so that sending does not count. */
class Client {
  readonly #worker = new Worker(new URL("./requests_client.ts", import.meta.url), { type: "module" });
  readonly #ready = this.#next();

  constructor(readonly url: string) {}

  async post(path: string, body: Uint8Array<ArrayBuffer>): Promise<{ status: number; milliseconds: number }> {
    await this.#ready;
    const answer = this.#next();
    this.#worker.postMessage({ url: this.url + path, body }, [body.buffer]);
    return await answer as { status: number; milliseconds: number };
  }

  close(): void {
    this.#worker.terminate();
  }

  #next(): Promise<unknown> {
    return new Promise((resolve) => this.#worker.onmessage = ({ data }) => resolve(data));
  }
}

/** One row a request, and below them the worst. */
export function requestsText({ results, worst }: RequestResults): string {
  const rows = results.map(({ name, bytes, status, stallMilliseconds, milliseconds }) => [
    name,
    digits(bytes / 2 ** 20),
    String(status),
    digits(stallMilliseconds),
    digits(milliseconds),
  ]);
  return [
    "Requests that ask for much work",
    "",
    table(["body", "MiB", "status", "longest stall of the HTTP thread, ms", "until its reply, ms"], rows),
    "",
    `Worst: ${worst.name}, ${digits(worst.stallMilliseconds)} ms`,
  ].join("\n");
}
