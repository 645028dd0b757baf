/** @file `main.ts serve`: loads a model and answers requests until it is told to stop. */
import { createApp } from "../routes/app.ts";
import { EncoderClient } from "../embedding/client.ts";
import { FrontDoor } from "../routes/front_door.ts";
import { listen } from "../routes/listener.ts";
import { chooseDevice } from "../serving/device.ts";
import { loadPolicies } from "../serving/policies.ts";
import { type RunningEngine, startEngine } from "../serving/start_engine.ts";
import { watchPlugins } from "../serving/watch_plugins.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { ServeOptions } from "./flags.ts";
import { openApiKeys } from "./api_keys.ts";
import { localModel } from "./local_model.ts";
import { createLog } from "./log.ts";
import { defaultKvCacheOf, policiesOf } from "./policies.ts";
import { readTls } from "./tls.ts";
import { readyReport } from "./ready_report.ts";
import { progressDisplay } from "./progress.ts";
import { firstStopSignal } from "./signals.ts";

/**
 * Serves until the first SIGINT or SIGTERM, then finishes the requests at hand; a second signal ends the process.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function serve(options: ServeOptions, start: typeof startEngine = startEngine): Promise<number> {
  const policies = await policiesOf(options);
  const defaultKvCache = defaultKvCacheOf(options, policies);
  const device = await chooseDevice(options.device, console.error);

  const apiKeys = await openApiKeys(options);
  const tls = await readTls(options);
  const drain = new AbortController();
  const shutdown = new AbortController();
  // The port comes first: that it is taken should be known before a large model has been loaded.
  const { allowedOrigins = [] } = options;
  const guarded = { allowedOrigins, allowedHosts: [options.host, ...options.allowedHosts ?? []] };
  const door = new FrontDoor(guarded);
  const place = options.socket === undefined
    ? { hostname: options.host, port: options.port }
    : { path: options.socket };
  const server = await listen(door, { ...place, tls, drain: drain.signal, shutdown });

  const { embeddingModel } = options;
  const encoder = embeddingModel === undefined ? undefined : await EncoderClient.start(embeddingModel);
  const model = await localModel(options.model, (progress) => door.progress(progress));
  const show = progressDisplay();
  const { engine, text, chatTemplate, failed, changePlugins, close } = await start(
    {
      model,
      modelId: options.modelId,
      device,
      threads: options.threads,
      cpuWeights: options.cpuWeights,
      context: options.context,
      kvMemory: options.kvMemory,
      // All of it that nobody needs.
      prefixCache: options.prefixCache ?? Infinity,
      kvType: options.kvType,
      maxBatch: options.maxBatch,
      maxQueue: options.maxQueue,
      specialTokensInMessages: options.specialTokensInMessages,
      defaultKvCache,
    },
    policies,
    (progress) => {
      show(progress);
      door.progress(progress);
    },
  );
  door.open(createApp({
    engine,
    encoder,
    text,
    chatTemplate,
    options: {
      policies,
      apiKeys,
      requestsPerMinute: options.requestsPerMinute,
      requestTimeoutSeconds: options.requestTimeout,
      ...guarded,
      log: createLog(options.logFormat, options.logLevel),
      drain: drain.signal,
      shutdown: shutdown.signal,
    },
  }));
  const stopWatching = options.watchPlugins ? watch(options, changePlugins) : () => {};
  const stopped = firstStopSignal();
  const address = {
    url: server.url,
    socket: options.socket,
    hasKeys: options.apiKey !== undefined || options.apiKeyFile !== undefined,
  };
  readyReport(engine, await engine.stats(), address).forEach((line) => console.error(line));
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
  stopWatching();
  drain.abort();
  await server.finished;
  encoder?.close();
  await close();
  return EXIT_CODES.ok.code;
}

/** Loads the plugins anew when their files change. What cannot be loaded leaves those before in their place. */
function watch(
  { plugin = [], sandboxPlugins }: ServeOptions,
  changePlugins: RunningEngine["changePlugins"],
): () => void {
  return watchPlugins(plugin, async () => {
    try {
      const { files } = await loadPolicies(plugin, sandboxPlugins);
      await changePlugins(files);
      console.error(`Loaded ${plugin.join(", ")} anew`);
    } catch (error) {
      console.error(`${(error as Error).message}\nThe plugins before go on`);
    }
  });
}
