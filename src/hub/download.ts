/**
 * @file Downloads one file: several ranges at once, each going on where its connection broke, and all of it where the process
 * was stopped; then its hash decides.
 */
import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { HubClient } from "./client.ts";
import { HubError, TemporaryError } from "./hub_error.ts";
import { PartFile } from "./part_file.ts";

/** A file somewhere else, and what is known of it beforehand. */
export interface RemoteFile {
  readonly url: string;
  /** In bytes. */
  readonly size: number;
  readonly sha256?: string;
  /** Git's id. */
  readonly gitId?: string;
  /** What every answer must have as its ETag, where nothing else tells that the file has not changed. */
  readonly tag?: string;
  /** Whether the server sends parts; default: yes. */
  readonly takesRanges?: boolean;
}

export interface DownloadOptions {
  readonly chunkBytes: number;
  /** Ranges that are asked for at once. */
  readonly connections: number;
  /** Takes how many bytes of how many are there. */
  onProgress(done: number, total: number): void;
}

/** Chunks that a slow line brings in seconds, and that are not too many for 100 GB. */
export const DEFAULT_CHUNK_BYTES = 32 * 2 ** 20;
/** One connection rarely fills a line; many annoy servers. */
export const DEFAULT_CONNECTIONS = 4;

/** What is on the disk in the end. */
export interface Downloaded {
  readonly size: number;
  readonly sha256: string;
}

/**
 * @param path where to put it, in a folder that exists
 * @throws {HubError}
 */
export async function download(
  client: HubClient,
  file: RemoteFile,
  path: string,
  { chunkBytes, connections, onProgress }: DownloadOptions,
): Promise<Downloaded> {
  const { size, takesRanges = true } = file;
  // A file of which nothing is known but its size may be another one next time.
  const id = file.sha256 ?? file.gitId ?? file.tag ?? crypto.randomUUID();
  const part = await PartFile.open(path, { size, id }, takesRanges ? chunkBytes : Math.max(1, size));
  try {
    await checkSpace(path, size - part.doneBytes);
    await fill(client, file, part, { connections, onProgress: () => onProgress(part.doneBytes, size) });
  } catch (error) {
    part.close();
    throw error;
  }
  const hashes = await hashesOf(`${path}.part`, size);
  const [name, expected, found] = file.sha256 !== undefined
    ? ["SHA-256", file.sha256, hashes.sha256]
    : ["Git id", file.gitId ?? hashes.gitId, hashes.gitId];
  if (found !== expected) {
    await part.discard();
    throw new HubError(`${file.url} came damaged: its ${name} is ${found}, expected ${expected}; pull it again`);
  }
  await part.finish();
  return { size, sha256: hashes.sha256 };
}

/** Asks a server for what it tells of a file: its size, what changes when the file does, and whether it sends parts. */
export async function probe(client: HubClient, url: string): Promise<RemoteFile> {
  const { status, headers, body } = await client.patiently(() => client.get(url, { range: [0, 0] }));
  await body?.cancel();
  const takesRanges = status === 206;
  const size = takesRanges
    ? /^bytes 0-0\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1]
    : headers.get("content-length");
  if (size === undefined || size === null) {
    throw new HubError(`${url} does not say how large the file is: download it in another way`);
  }
  return { url, size: Number(size), tag: headers.get("etag") ?? undefined, takesRanges };
}

/** Brings all chunks, several at once. The first failure ends the others too. */
async function fill(
  client: HubClient,
  file: RemoteFile,
  part: PartFile,
  { connections, onProgress }: { connections: number; onProgress(): void },
): Promise<void> {
  const left = part.chunks.flatMap(({ start, end }, chunk) => part.done(chunk) < end - start ? [chunk] : []);
  const stop = new AbortController();
  onProgress();
  const work = async () => {
    for (let chunk = left.shift(); chunk !== undefined; chunk = left.shift()) {
      const next = chunk;
      await client.patiently(() => receive(client, file, part, next, stop.signal, onProgress), () => part.done(next));
    }
  };
  const works = Array.from({ length: connections }, () =>
    work().catch((error) => {
      stop.abort(error);
      throw error;
    }));
  await Promise.allSettled(works);
  await Promise.all(works);
}

/** Receives what is missing of a chunk, over one connection. */
async function receive(
  client: HubClient,
  { url, tag }: RemoteFile,
  part: PartFile,
  chunk: number,
  stop: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  stop.throwIfAborted();
  const { start, end } = part.chunks[chunk];
  const first = start + part.done(chunk);
  const { host } = new URL(url);
  const stalled = new AbortController();
  const { stallMilliseconds } = client.patience;
  const alarm = () =>
    setTimeout(() => stalled.abort(new TemporaryError(`${host} sent nothing for a while`)), stallMilliseconds);
  let timer = alarm();
  try {
    const response = await client.get(url, {
      range: [first, end - 1],
      signal: AbortSignal.any([stop, stalled.signal]),
    });
    if (tag !== undefined && response.headers.get("etag") !== tag) {
      throw new HubError(`${url} has changed while it was downloaded: pull it again`);
    }
    let skip = bytesToSkip(url, response, first);
    for await (const received of response.body ?? []) {
      clearTimeout(timer);
      timer = alarm();
      const bytes = received.subarray(Math.min(skip, received.length));
      skip -= received.length - bytes.length;
      const missing = end - start - part.done(chunk);
      part.append(chunk, bytes.subarray(0, missing));
      onProgress();
      // A server that knows no ranges goes on.
      if (bytes.length >= missing) return;
    }
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    if (stalled.signal.aborted) throw stalled.signal.reason;
    if (error instanceof HubError || error instanceof TemporaryError) throw error;
    throw new TemporaryError(`The connection to ${host} broke`);
  } finally {
    clearTimeout(timer);
    // What follows may be a long wait, and the process may not live to its end.
    part.save();
  }
  if (start + part.done(chunk) < end) throw new TemporaryError(`The connection to ${host} ended early`);
}

/** How many bytes come before the one asked for: all of them where the server knows no ranges. */
function bytesToSkip(url: string, { status, headers }: Response, first: number): number {
  if (status === 200) return first;
  const range = headers.get("content-range") ?? "";
  if (status === 206 && range.startsWith(`bytes ${first}-`)) return 0;
  throw new HubError(`${url} was asked for byte ${first} and sent ${JSON.stringify(range)} with HTTP ${status}`);
}

async function checkSpace(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (bavail * bsize >= bytes) return;
  throw new HubError(
    `${dirname(path)} has ${
      bavail * bsize
    } bytes left, and ${bytes} are to come: make room, or name another folder in EBB_CACHE`,
  );
}

/** SHA-256, and the id that Git would give a file with this content. */
async function hashesOf(path: string, size: number): Promise<{ sha256: string; gitId: string }> {
  const sha256 = createHash("sha256");
  const git = createHash("sha1").update(`blob ${size}\0`);
  using file = await Deno.open(path);
  for await (const bytes of file.readable) {
    sha256.update(bytes);
    git.update(bytes);
  }
  return { sha256: sha256.digest("hex"), gitId: git.digest("hex") };
}
