/**
 * @file The cache of models: a folder with their files and `index.json`, which says what they are. Files that the index does not
 * name are nobody's business; models whose files are gone are not shown.
 */
import { dirname, join } from "node:path";
import { HubError } from "./hub_error.ts";
import { systemReason } from "../formats/system_reason.ts";

/** A file of a cached model. */
export interface CachedFile {
  /** Within the model's folder, with slashes. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
  /** The ETag that it came with, of files from plain URLs. */
  readonly tag?: string;
}

/** A cached model, or one that was begun. */
export interface CachedModel {
  /** What it is called: `hf:OWNER/REPO`, `hf:OWNER/REPO:FILE` or its URL. */
  readonly name: string;
  /** Other words that it was pulled by, such as `hf:OWNER/REPO:Q8_0`. */
  readonly asked: readonly string[];
  /** Its folder, within the cache. */
  readonly folder: string;
  /** What to open, within its folder; nothing for the folder itself. */
  readonly main?: string;
  /** What it consists of, within its folder, with slashes. */
  readonly paths: readonly string[];
  /** The files that are there; of a model that was only begun, some are missing. */
  readonly files: readonly CachedFile[];
  /** In bytes, when it is whole. */
  readonly totalBytes: number;
  /** The hub's commit. */
  readonly commit?: string;
  readonly isComplete: boolean;
  /** When it was pulled, as ISO 8601. */
  readonly pulledAt: string;
}

interface Index {
  readonly version: 1;
  readonly models: readonly CachedModel[];
}

export class ModelCache {
  readonly #indexPath: string;

  /** @param directory the cache; made when something is put there */
  constructor(readonly directory: string) {
    this.#indexPath = join(directory, "index.json");
  }

  /** All models, by name. @throws {HubError} when the index is damaged */
  async list(): Promise<CachedModel[]> {
    const { models } = await this.#read();
    return models.toSorted((a, b) => a.name < b.name ? -1 : 1);
  }

  /** The model that is called so, or was pulled by these words. */
  async find(name: string): Promise<CachedModel | undefined> {
    const models = await this.list();
    return models.find((model) => model.name === name) ?? models.find(({ asked }) => asked.includes(name));
  }

  /** The path to open; nothing when a file is missing or has another size than it had. */
  async pathOf({ folder, main, files, isComplete }: CachedModel): Promise<string | undefined> {
    const path = join(this.directory, folder);
    if (!isComplete) return undefined;
    for (const file of files) {
      const found = await Deno.stat(join(path, file.path)).catch(() => undefined);
      if (found?.size !== file.size) return undefined;
    }
    return main === undefined ? path : join(path, main);
  }

  /** Adds a model, or puts it in the place of the one with its name. */
  async put(model: CachedModel): Promise<void> {
    await this.#change((models) => [...models.filter(({ name }) => name !== model.name), model]);
  }

  /** Deletes a model's files and what is left of their folders. */
  async remove(model: CachedModel): Promise<void> {
    await this.#change((models) => models.filter(({ name }) => name !== model.name));
    const others = await this.list();
    const folder = join(this.directory, model.folder);
    for (const path of model.paths) {
      // Models of one repository can share files.
      const isShared = others.some((other) => other.folder === model.folder && other.paths.includes(path));
      if (isShared) continue;
      for (const suffix of ["", ".part", ".part.json"]) await removeIfThere(join(folder, path + suffix));
      await this.#removeEmptyFolders(dirname(join(folder, path)));
    }
  }

  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let at = folder; at !== this.directory && at.startsWith(this.directory); at = dirname(at)) {
      const isEmpty = (await Array.fromAsync(Deno.readDir(at)).catch(() => [null])).length === 0;
      if (!isEmpty) return;
      await Deno.remove(at);
    }
  }

  /** Changes the index, one process at a time. */
  async #change(change: (models: readonly CachedModel[]) => readonly CachedModel[]): Promise<void> {
    await Deno.mkdir(this.directory, { recursive: true });
    using lock = await Deno.open(join(this.directory, "index.lock"), { create: true, write: true });
    await lock.lock(true);
    const models = change((await this.#read()).models);
    const index: Index = { version: 1, models };
    // Never half written: whoever reads it meanwhile sees the old one.
    await Deno.writeTextFile(`${this.#indexPath}.new`, JSON.stringify(index, null, 2));
    await Deno.rename(`${this.#indexPath}.new`, this.#indexPath);
  }

  async #read(): Promise<Index> {
    let text;
    try {
      text = await Deno.readTextFile(this.#indexPath);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return { version: 1, models: [] };
      throw new HubError(`${this.#indexPath} cannot be read: ${systemReason(error)}`);
    }
    try {
      const index: Index = JSON.parse(text);
      if (index.version === 1 && Array.isArray(index.models)) return index;
    } catch {
      // Said below.
    }
    throw new HubError(
      `${this.#indexPath} is no index of models: delete it, and pull the models again (files that are whole stay)`,
    );
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new HubError(`${path} cannot be deleted: ${(error as Error).message}`);
    }
  }
}
