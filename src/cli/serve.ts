/** @file `main.ts serve`: loads a model and answers requests until it is told to stop. */
import { createApp } from "../routes/app.ts";
import { FrontDoor } from "../routes/front_door.ts";
import { listen } from "../routes/listener.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { ModelKeeper, type Models, onlyModel } from "../serving/models.ts";
import { modelsToServe, type ModelToServe } from "./served_models.ts";
import { chooseDevice } from "../serving/device.ts";
import { loadPolicies } from "../serving/policies.ts";
import { type RunningEngine, startEngine } from "../serving/start_engine.ts";
import { watchPlugins } from "../serving/watch_plugins.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { ServeOptions } from "./flags/serving.ts";
import { openApiKeys } from "./api_keys.ts";
import { localModel } from "./local_model.ts";
import { createLog } from "./log.ts";
import { defaultKvCacheOf, policiesOf } from "./policies.ts";
import { readTls } from "./tls.ts";
import { type Address, readyReport } from "./ready_report.ts";
import { progressDisplay } from "./progress.ts";
import { firstStopSignal } from "./signals.ts";
import { startEncoder } from "./start_encoder.ts";

/**
 * Serves until the first SIGINT or SIGTERM, then finishes the requests at hand; a second signal ends the process.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function serve(options: ServeOptions, start: typeof startEngine = startEngine): Promise<number> {
  const toServe = modelsToServe(options);
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
  const encoder = embeddingModel === undefined
    ? undefined
    : await startEncoder(embeddingModel, { device, isChosen: options.device !== "auto" });
  const load = async ({ id, path, kvMemory }: ModelToServe, policies: PolicyRegistry) => {
    const model = await localModel(path, (progress) => door.progress(progress));
    const show = progressDisplay();
    const running = await start(
      {
        model,
        modelId: id,
        device,
        threads: options.threads,
        cpuWeights: options.cpuWeights,
        context: options.context,
        kvMemory,
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
    if (toServe.length > 1) console.error(`Loaded the model ${id}`);
    return running;
  };
  const { models, failed, changePlugins, close } = toServe.length === 1
    ? serveOne(await load(toServe[0], policies), options)
    : serveSeveral(toServe, load, policies, options);
  door.open(createApp({
    models,
    encoder,
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
  for (const line of await reportOf(models, address)) console.error(line);
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

/** What the server says of itself; of several models, only that they are there. */
async function reportOf(models: Models, address: Address): Promise<string[]> {
  const [{ loaded }, ...others] = models.list();
  if (others.length === 0) return readyReport(loaded!.engine, await loaded!.engine.stats(), address);
  return models.list().map(({ id }) => `model     ${id}: loaded when it is first asked for`);
}

/** What is served, one model or several. */
interface Served extends Pick<RunningEngine, "failed" | "changePlugins" | "close"> {
  readonly models: Models;
}

function serveOne(running: RunningEngine, { alias }: ServeOptions): Served {
  return { ...running, models: onlyModel(running, alias) };
}

/** @param policies those that requests can name */
function serveSeveral(
  toServe: readonly ModelToServe[],
  load: (model: ModelToServe, policies: PolicyRegistry) => Promise<RunningEngine>,
  policies: PolicyRegistry,
  options: ServeOptions,
): Served {
  const sources = toServe.map((model, i) => ({
    id: model.id!,
    aliases: i === 0 ? options.alias : [],
    // Each with policies of its own, for an engine that closes closes its plugins.
    load: async () => load(model, await policiesOf(options)),
  }));
  const models = new ModelKeeper(sources, options.maxModels ?? toServe.length, console.error);
  return {
    models,
    // Models fail one by one: see ModelKeeper.
    failed: new Promise(() => {}),
    async changePlugins(files) {
      policies.setFiles(files);
      for (const { changePlugins } of models.running) await changePlugins((await policiesOf(options)).files);
    },
    close: () => models.close(),
  };
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
