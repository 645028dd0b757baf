/** @file The models that the page can ask, as `GET /v1/models` lists them. */

/** A model that generates. */
export interface Model {
  readonly id: string;
  readonly status: { readonly value: "unloaded" | "loading" | "loaded" | "unloading" | "failed" };
  /** Longest prompt plus completion, in tokens; this and `meta` are known while it is loaded, or has been. */
  readonly max_model_len?: number;
  readonly meta?: { readonly architecture: string; readonly device: string };
}

/** What `meta.architecture` says of encoders, which answer nothing. */
const ENCODERS: readonly (string | undefined)[] = ["embedder", "reranker"];

/** Those that generate. */
export function askable(models: readonly Model[]): readonly Model[] {
  return models.filter(({ meta }) => !ENCODERS.includes(meta?.architecture));
}

/** The model that is asked: the one that was chosen, or else the first. */
export function chosenModel(models: readonly Model[], id: string | null): Model {
  return models.find((model) => model.id === id) ?? models[0];
}

/** A model in the list of choices. */
export function nameInList({ id, status: { value } }: Model): string {
  return value === "loaded" ? id : `${id} (${value === "unloaded" ? "not loaded" : value})`;
}
