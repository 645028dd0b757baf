/**
 * @file Shows what clients see when one of two servers behind HAProxy is killed while they are busy.
 *
 *     deno run -A deploy/haproxy/show.ts       # needs HAProxy: apt-get install haproxy
 */
const MAIN = new URL("../../main.ts", import.meta.url).href;
const CONFIG = new URL("./haproxy.cfg", import.meta.url).pathname;
const CLIENTS = 8;
const SECONDS = 8;
/** A request that is not answered by then hangs. In milliseconds. */
const PATIENCE = 60_000;

/** What clients saw. */
interface Seen {
  answered: number;
  /** Streams that had begun and ended early. */
  brokenOff: number;
  /** Requests of which nothing was answered, or with an error. */
  failed: string[];
  hanging: number;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server and waits until it listens. */
async function startServer(port: number): Promise<Deno.ChildProcess> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "serve", "--port", String(port), "--max-batch", "8", "--log-level", "none"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.getReader();
  const { done } = await reader.read();
  await reader.cancel();
  if (done) throw new Error("A server did not start");
  return process;
}

/** Asks once, streaming or not, and notes what came. */
async function ask(url: string, stream: boolean, seen: Seen): Promise<void> {
  const body = JSON.stringify({ prompt: "Once upon a time", max_tokens: 96, ignore_eos: true, temperature: 0, stream });
  const init = { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) };
  let text = "";
  let hasBegun = false;
  try {
    const response = await fetch(`${url}/v1/completions`, init);
    hasBegun = response.ok;
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) text += piece;
    if (!response.ok) seen.failed.push(`status ${response.status}: ${text.slice(0, 200)}`);
    else if (stream && !text.endsWith("data: [DONE]\n\n")) seen.brokenOff++;
    else seen.answered++;
  } catch (error) {
    if ((error as Error).name === "TimeoutError") seen.hanging++;
    else if (hasBegun) seen.brokenOff++;
    else seen.failed.push(String(error));
  }
}

/** Clients that ask until the time is over; `kill` is called in the middle of it. */
async function load(url: string, kill: () => void): Promise<Seen> {
  const seen: Seen = { answered: 0, brokenOff: 0, failed: [], hanging: 0 };
  const end = performance.now() + 1000 * SECONDS;
  setTimeout(kill, 1000 * SECONDS / 2);
  await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
    while (performance.now() < end) await ask(url, client % 2 === 0, seen);
  }));
  return seen;
}

/** Runs it. @returns what clients saw, and how many requests each server counted */
export async function show(): Promise<{ seen: Seen; servedByTheOther: number }> {
  const [listen, one, two] = [freePort(), freePort(), freePort()];
  const servers = await Promise.all([startServer(one), startServer(two)]);
  const proxy = new Deno.Command("haproxy", {
    args: ["-f", CONFIG],
    env: { EBB_LISTEN: `127.0.0.1:${listen}`, EBB_ONE: `127.0.0.1:${one}`, EBB_TWO: `127.0.0.1:${two}` },
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const url = `http://127.0.0.1:${listen}`;
    // Until it has looked at both servers.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const seen = await load(url, () => servers[0].kill("SIGKILL"));
    const metrics = await (await fetch(`http://127.0.0.1:${two}/metrics`)).text();
    const count = /^ebb_http_requests_total\{.*path="\/v1\/completions",status="200".*\} (\d+)$/m.exec(metrics)?.[1];
    return { seen, servedByTheOther: Number(count ?? 0) };
  } finally {
    proxy.kill("SIGTERM");
    servers[1].kill("SIGTERM");
    await Promise.all([proxy.status, ...servers.map((server) => server.status)]);
  }
}

if (import.meta.main) {
  const { seen: { answered, brokenOff, failed, hanging }, servedByTheOther } = await show();
  console.log(`${answered} requests were answered, ${servedByTheOther} of all by the server that was left`);
  console.log(`${brokenOff} streams that had begun ended early`);
  console.log(`${failed.length} requests failed, ${hanging} hung`);
  for (const reason of failed) console.log(`  ${reason}`);
  Deno.exit(failed.length === 0 && hanging === 0 ? 0 : 1);
}
