/** @file `main.ts serve`: loads a model and answers requests until it is told to stop. */
import { FrontDoor } from "../routes/front_door.ts";
import { createApp } from "../routes/app.ts";
import { listen } from "../routes/listener.ts";
import { ensureAdapter } from "../serving/environment.ts";
import { builtInPolicies } from "../serving/policies.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { ServeOptions } from "./flags.ts";
import { openApiKeys } from "./api_keys.ts";
import { createLog } from "./log.ts";
import { readTls } from "./tls.ts";
import { progressDisplay } from "./progress.ts";
import { firstStopSignal } from "./signals.ts";
import { startEngine } from "../serving/start_engine.ts";

/**
 * Serves until the first SIGINT or SIGTERM, then finishes the requests at hand; a second signal ends the process.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function serve(options: ServeOptions, start: typeof startEngine = startEngine): Promise<number> {
  const adapter = await ensureAdapter(console.error);
  if (adapter.software) console.error(`No GPU: computing on the CPU with ${adapter.description}`);

  const apiKeys = await openApiKeys(options);
  const tls = await readTls(options);
  const drain = new AbortController();
  const shutdown = new AbortController();
  // The port comes first: that it is taken should be known before a large model has been loaded.
  const { allowedOrigins = [] } = options;
  const guarded = { allowedOrigins, allowedHosts: [options.host, ...options.allowedHosts ?? []] };
  const door = new FrontDoor(guarded);
  const address = options.socket === undefined
    ? { hostname: options.host, port: options.port }
    : { path: options.socket };
  const server = await listen(door, { ...address, tls, drain: drain.signal, shutdown });

  const show = progressDisplay();
  const { engine, text, chatTemplate, failed, close } = await start(options, builtInPolicies, (progress) => {
    show(progress);
    door.progress(progress);
  });
  door.open(createApp({
    engine,
    text,
    chatTemplate,
    options: {
      policies: builtInPolicies,
      apiKeys,
      requestsPerMinute: options.requestsPerMinute,
      requestTimeoutSeconds: options.requestTimeout,
      ...guarded,
      log: createLog(options.logFormat, options.logLevel),
      drain: drain.signal,
      shutdown: shutdown.signal,
    },
  }));
  const stopped = firstStopSignal();
  console.log(`Listening on ${server.url}`);

  const failure = await Promise.race([stopped.then(() => null), failed]);
  if (failure !== null) {
    // A supervisor should start a new process, for the GPU does not come back to this one; but not before the clients of
    // running requests have been told.
    console.error(`The engine failed: ${failure.message}`);
    drain.abort();
    await server.finished;
    return EXIT_CODES.failure.code;
  }
  console.error("Stopping when the running requests are done; another signal stops at once");
  drain.abort();
  await server.finished;
  await close();
  return EXIT_CODES.ok.code;
}
