/** @file `main.ts pull`, `models` and `rm`: the cache of models. */
import { type CachedModel, ModelCache } from "../hub/model_cache.ts";
import { pull as pullModel } from "../hub/pull.ts";
import { hubSettings } from "../hub/settings.ts";
import { isRemote } from "../hub/source.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { PullOptions, RmOptions } from "./flags/models.ts";
import { transferProgress } from "./progress.ts";
import { formatBytes } from "./units.ts";

/** Gets a model, or what is new of it, and prints its path. */
export async function pull({ model }: PullOptions): Promise<number> {
  if (!isRemote(model)) {
    throw new ExitError(
      "usage",
      `${model} names no model to pull: expected hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL`,
    );
  }
  const show = transferProgress(`Pulling ${model}`);
  const path = await pullModel(model, {
    settings: hubSettings(),
    log: console.error,
    onProgress: ({ done, total }) => show(done, total),
  });
  console.log(path);
  return EXIT_CODES.ok.code;
}

/** Prints what is in the cache: name, size, day, and how far those are that were only begun. */
export async function models(): Promise<number> {
  const cache = new ModelCache(hubSettings().directory);
  const all = await cache.list();
  if (all.length === 0) console.error(`No models in ${cache.directory}: main.ts pull gets one`);
  const rows = await Promise.all(all.map(async (model) => [
    model.name,
    formatBytes(model.totalBytes),
    model.pulledAt.slice(0, 10),
    await cache.pathOf(model) === undefined ? "incomplete: pull it again" : "",
  ]));
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) console.log(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd());
  return EXIT_CODES.ok.code;
}

/** Deletes a model from the cache. */
export async function rm({ name }: RmOptions): Promise<number> {
  const cache = new ModelCache(hubSettings().directory);
  const model = await cache.find(name);
  if (model === undefined) {
    throw new ExitError("usage", `${name} is not in the cache; there: ${namesOf(await cache.list())}`);
  }
  await cache.remove(model);
  console.error(`${model.name} is deleted: ${formatBytes(model.totalBytes)}`);
  return EXIT_CODES.ok.code;
}

function namesOf(models: readonly CachedModel[]): string {
  return models.length > 0 ? models.map(({ name }) => name).join(", ") : "no model";
}
