/** @file From what `--model` says to a path: models that are somewhere else are pulled by need. */
import { cachedOrPulled, type PullProgress } from "../hub/pull.ts";
import { hubSettings } from "../hub/settings.ts";
import { isRemote } from "../hub/source.ts";
import { transferProgress } from "./progress.ts";

/**
 * The path of a model, from the cache of models or pulled where it is not a path already.
 *
 * @param onProgress told, beside standard error, how far pulling is
 * @throws {HubError}
 */
export async function localModel<Model extends string | undefined>(
  model: Model,
  onProgress: (progress: PullProgress) => void = () => {},
): Promise<Model | string> {
  if (model === undefined || !isRemote(model)) return model;
  const show = transferProgress(`Pulling ${model}`);
  return await cachedOrPulled(model, {
    settings: hubSettings(),
    log: console.error,
    onProgress(progress) {
      show(progress.done, progress.total);
      onProgress(progress);
    },
  });
}
