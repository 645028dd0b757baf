/** @file Gets a model: finds out what it consists of, downloads what the cache lacks, and notes it in the index. */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { chooseFiles } from "./choose_files.ts";
import { HubClient, type Patience } from "./client.ts";
import { DEFAULT_CHUNK_BYTES, DEFAULT_CONNECTIONS, download, probe, type RemoteFile } from "./download.ts";
import { HubError } from "./hub_error.ts";
import { type CachedFile, type CachedModel, ModelCache } from "./model_cache.ts";
import { fileUrl, readRepository } from "./repository.ts";
import type { HubSettings } from "./settings.ts";
import { type HubSource, parseSource, type UrlSource } from "./source.ts";

/** How far a model's download is, in bytes of all its files. */
export interface PullProgress {
  readonly stage: "download";
  readonly done: number;
  readonly total: number;
}

export interface PullOptions extends Partial<Pick<Patience, "attempts" | "stallMilliseconds" | "sleep">> {
  readonly settings: HubSettings;
  readonly chunkBytes?: number;
  readonly connections?: number;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Takes lines for people. */
  readonly log?: (line: string) => void;
}

/** A model that is wanted: what it will be called, and what it consists of. */
interface Plan extends Pick<CachedModel, "name" | "folder" | "main" | "commit"> {
  /** With paths within the model's folder. */
  readonly files: readonly (RemoteFile & { readonly path: string })[];
}

/**
 * Gets a model, or what is new of it; files that are there and whole are not downloaded again.
 *
 * @param text `hf:OWNER/REPO`, `hf:OWNER/REPO:FILE` or a URL
 * @returns the path to open
 * @throws {HubError}
 */
export async function pull(text: string, options: PullOptions): Promise<string> {
  const { settings, log = () => {}, onProgress = () => {} } = options;
  const source = parseSource(text);
  if (settings.offline) throw new HubError(`${text} cannot be pulled: HF_HUB_OFFLINE is set`);
  await requireWritable(text, settings.directory);
  const client = new HubClient(settings, {
    attempts: options.attempts ?? 6,
    stallMilliseconds: options.stallMilliseconds ?? 60_000,
    sleep: options.sleep ?? ((milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))),
    log,
  });
  const plan = source.kind === "hub" ? await planRepository(client, source) : await planUrl(client, source);
  const cache = new ModelCache(settings.directory);
  const earlier = await cache.find(plan.name);
  const asked = new Set(earlier?.asked).add(text);
  asked.delete(plan.name);
  const totalBytes = plan.files.reduce((sum, { size }) => sum + size, 0);
  const note = (files: readonly CachedFile[], isComplete: boolean): CachedModel => ({
    ...{ name: plan.name, asked: [...asked], folder: plan.folder, main: plan.main, commit: plan.commit },
    ...{ paths: plan.files.map(({ path }) => path), files, totalBytes, isComplete },
    pulledAt: new Date().toISOString(),
  });

  const files: CachedFile[] = [];
  for (const file of plan.files) {
    const path = join(settings.directory, plan.folder, file.path);
    const before = files.reduce((sum, { size }) => sum + size, 0);
    let present = await presentFile(path, file, earlier);
    if (present === undefined) {
      await Deno.mkdir(dirname(path), { recursive: true });
      // A single file is there until the new one takes its place; of several, old and new ones would be mixed.
      if (!earlier?.isComplete || plan.files.length > 1) await cache.put(note(files, false));
      const downloaded = await download(client, file, path, {
        chunkBytes: options.chunkBytes ?? DEFAULT_CHUNK_BYTES,
        connections: options.connections ?? DEFAULT_CONNECTIONS,
        onProgress: (done) => onProgress({ stage: "download", done: before + done, total: totalBytes }),
      });
      present = { path: file.path, ...downloaded, tag: file.tag };
    }
    files.push(present);
  }
  const whole = note(files, true);
  await cache.put(whole);
  return (await cache.pathOf(whole))!;
}

/**
 * The path of a model that is somewhere else: from the cache, without asking anybody, or pulled.
 *
 * @throws {HubError}
 */
export async function cachedOrPulled(text: string, options: PullOptions): Promise<string> {
  const cache = new ModelCache(options.settings.directory);
  const model = await cache.find(text);
  const path = model && await cache.pathOf(model);
  if (path !== undefined) return path;
  if (options.settings.offline) {
    const names = (await cache.list()).filter(({ isComplete }) => isComplete).map(({ name }) => name);
    const there = names.length > 0 ? names.join(", ") : "no model";
    throw new HubError(`${text} is not in the cache, and HF_HUB_OFFLINE is set; there: ${there}`, true);
  }
  return await pull(text, options);
}

/** @throws {HubError} when the process was started without permission to write into the cache, saying how to go on */
async function requireWritable(text: string, directory: string): Promise<void> {
  const { state } = await Deno.permissions.query({ name: "write", path: directory });
  if (state === "granted") return;
  throw new HubError(
    `${text} must be downloaded into ${directory}, where this process may not write: get it beforehand, with\n` +
      `  deno run -A main.ts pull ${text}\nor start with --allow-write=${directory}`,
  );
}

async function planRepository(client: HubClient, { repository: name, file }: HubSource): Promise<Plan> {
  const repository = await readRepository(client, name);
  const { main, files } = chooseFiles(repository, file);
  const { endpoint } = client.settings;
  return {
    name: main === undefined ? `hf:${name}` : `hf:${name}:${main}`,
    folder: `hub/${name}`,
    main,
    commit: repository.commit,
    files: files.map((one) => ({ ...one, url: fileUrl(endpoint, repository, one.path) })),
  };
}

async function planUrl(client: HubClient, { url }: UrlSource): Promise<Plan> {
  const path = basename(url.pathname).replace(/[^\w.-]/g, "_");
  // Files of different places may have the same name.
  const folder = `url/${createHash("sha256").update(url.href).digest("hex").slice(0, 12)}`;
  return { name: url.href, folder, main: path, files: [{ ...await probe(client, url.href), path }] };
}

/** A file that is in the cache as it should be: of what the index says, the hash counts, and of the disk the size. */
async function presentFile(
  path: string,
  { path: name, size, sha256, gitId, tag }: Plan["files"][number],
  earlier: CachedModel | undefined,
): Promise<CachedFile | undefined> {
  const found = await Deno.stat(path).catch(() => undefined);
  if (!found?.isFile || found.size !== size) return undefined;
  const noted = earlier?.files.find((file) => file.path === name && file.size === size);
  if (sha256 !== undefined) return noted?.sha256 === sha256 ? noted : undefined;
  if (tag !== undefined) return noted?.tag === tag ? noted : undefined;
  // A file that Git keeps is small: it is read again rather than trusted.
  if (gitId !== undefined) {
    const bytes = await Deno.readFile(path);
    const id = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    const hash = createHash("sha256").update(bytes).digest("hex");
    return id === gitId ? { path: name, size: bytes.length, sha256: hash } : undefined;
  }
  return undefined;
}
