/**
 * @file A soak: many clients at once, of whom some go at random moments. Every answer that is read to its end must be the one that
 * the same request got alone, and nothing may be left behind.
 */
import { Random } from "../../src/eval/tasks/random.ts";

/** How much, and against what. */
export interface SoakOptions {
  readonly url: string;
  readonly requests: number;
  readonly clients: number;
  /** Of the requests, those whose client goes. */
  readonly abortShare: number;
  readonly seed: number;
  readonly maxTokens: number;
  /** The server's process, of which the memory is watched. Default: none. */
  readonly pid?: number;
}

/** What came of it. */
export interface SoakReport {
  readonly answered: number;
  readonly aborted: number;
  /** Requests that the server refused because it was full. */
  readonly refused: number;
  /** Answers that are not those of the same request alone, or failed. */
  readonly wrong: readonly string[];
  /** Longest time that a health check took meanwhile, in milliseconds. */
  readonly longestStall: number;
  /** Of the server, in bytes: after a tenth of the requests, and at the end. */
  readonly memory: { readonly early: number; readonly late: number } | null;
  /** Blocks, running and waiting sequences when all was over. */
  readonly left: Readonly<Record<string, number>>;
}

interface Kind {
  readonly path: string;
  readonly body: Record<string, unknown>;
}

/** Different requests: of several endpoints, policies and lengths, some with grammars, many with the same beginnings. */
function kinds(random: Random, maxTokens: number): Kind[] {
  const policies = [
    { policy: "full" },
    { policy: "dynamickv", budget: 24 },
    { policy: "ebbkv", budget: 40 },
    { policy: "streaming", budget: 12 },
    { policy: "knorm", budget: 16, decode_eviction: 8 },
  ];
  const beginnings = ["Once upon a time there was a little boy. ", "The quick brown fox, 世界 and 😀. "].map((text) =>
    text.repeat(4)
  );
  // So long that what is scored by chunks is kept beside the rows.
  const document = Array.from({ length: 260 }, () => random.between(0, 9999)).join(" ");
  const long = Array.from({ length: 3 }, (): Kind => {
    const prompt = `${document} ${random.between(0, 99)}`;
    const body = { prompt, temperature: 0, max_tokens: maxTokens, kv_cache: { policy: "ebbkv", budget: "10%" } };
    return { path: "/v1/completions", body };
  });
  return policies.flatMap((kv_cache) =>
    beginnings.flatMap((beginning, at): Kind[] => {
      const prompt = `${beginning}${random.between(0, 99)}`;
      const messages = [{ role: "user", content: prompt }];
      const common = { temperature: 0, max_tokens: maxTokens, kv_cache };
      const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
      return [
        { path: "/v1/completions", body: { prompt, ...common, min_tokens: 5, priority: at } },
        { path: "/v1/chat/completions", body: { messages, ...common } },
        at === 0 ? { path: "/v1/messages", body: { messages, ...common } } : {
          path: "/v1/chat/completions",
          body: { messages, ...common, response_format: { type: "json_schema", json_schema: { name: "a", schema } } },
        },
      ];
    })
  ).concat(long);
}

/** Runs it. @throws {Error} if a request is not answered alone */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { url, requests, clients, abortShare, seed, maxTokens, pid } = options;
  const random = new Random(`soak ${seed}`);
  const all = kinds(random, maxTokens);
  const alone = new Map<Kind, string>();
  for (const kind of all) {
    const answer = await ask(url, kind, false);
    if (answer === null) throw new Error(`${kind.path} is not answered alone: ${JSON.stringify(kind.body)}`);
    alone.set(kind, answer);
  }
  const counts = { answered: 0, aborted: 0, refused: 0 };
  const wrong: string[] = [];
  let early = 0;
  let next = 0;
  const client = async () => {
    while (next < requests) {
      const number = next++;
      if (number === Math.floor(requests / 10)) early = await memoryOf(pid);
      const kind = random.pick(all);
      const streams = random.below(2) === 0;
      // Within about the time of an answer, so that it meets the queue, the prompt and the tokens.
      const goesAfter = random.next() < abortShare ? random.below(2000) : null;
      try {
        const answer = await ask(url, kind, streams, goesAfter);
        if (answer === null) counts.refused++;
        else if (answer === alone.get(kind)) counts.answered++;
        else wrong.push(`${kind.path} ${JSON.stringify(kind.body)}: ${answer}, alone: ${alone.get(kind)}`);
      } catch (error) {
        if (goesAfter !== null && (error as Error).name === "AbortError") counts.aborted++;
        else wrong.push(`${kind.path}: ${error}`);
      }
    }
  };
  const watch = watchHealth(url);
  await Promise.all(Array.from({ length: clients }, client));
  const longestStall = await watch.end();
  const left = await untilIdle(url);
  const late = await memoryOf(pid);
  return { ...counts, wrong, longestStall, memory: pid === undefined ? null : { early, late }, left };
}

/** The text of an answer; null if the server is full. */
async function ask(
  url: string,
  { path, body }: Kind,
  stream: boolean,
  goesAfter: number | null = null,
): Promise<string | null> {
  const controller = new AbortController();
  const timer = goesAfter === null ? undefined : setTimeout(() => controller.abort(), goesAfter);
  try {
    const response = await fetch(url + path, {
      method: "POST",
      body: JSON.stringify({ ...body, stream }),
      signal: controller.signal,
    });
    const text = await response.text();
    if (response.status === 503 || response.status === 429) return null;
    if (!response.ok) throw new Error(`status ${response.status}: ${text}`);
    return stream ? streamText(text) : wholeText(JSON.parse(text));
  } finally {
    clearTimeout(timer);
  }
}

function wholeText({ choices, content }: any): string {
  return choices ? choices[0].text ?? choices[0].message.content : content.map(({ text }: any) => text).join("");
}

function streamText(text: string): string {
  const events = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json));
  const failed = events.find(({ error }) => error);
  if (failed) throw new Error(JSON.stringify(failed.error));
  return events.map(({ choices, delta }) => choices?.[0]?.text ?? choices?.[0]?.delta?.content ?? delta?.text ?? "")
    .join("");
}

/** Asks for the server's health again and again, and keeps the longest time. */
function watchHealth(url: string) {
  let longest = 0;
  let isOver = false;
  const run = async () => {
    while (!isOver) {
      const start = performance.now();
      await (await fetch(`${url}/health`)).text();
      longest = Math.max(longest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const running = run();
  return {
    async end() {
      isOver = true;
      await running;
      return longest;
    },
  };
}

const LEFT = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"];

/** What is left once nothing runs, or after ten seconds. */
async function untilIdle(url: string): Promise<Record<string, number>> {
  for (let attempt = 0;; attempt++) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const left = Object.fromEntries(
      LEFT.map((name) => [name, Number(new RegExp(`^ebb_${name}\\{.*\\} (\\S+)$`, "m").exec(metrics)?.[1])]),
    );
    if (Object.values(left).every((value) => value === 0) || attempt === 100) return left;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Resident memory of a process, in bytes; 0 where Linux does not tell. */
async function memoryOf(pid: number | undefined): Promise<number> {
  if (pid === undefined || Deno.build.os !== "linux") return 0;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}
