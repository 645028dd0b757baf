/** @file What a repository of the hub holds, by the hub's two routes: the commit of its main branch, and that commit's files. */
import type { HubClient } from "./client.ts";
import { HubError, TemporaryError } from "./hub_error.ts";

/** A file of a repository. */
export interface RepositoryFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Of large files, which the hub keeps apart. */
  readonly sha256?: string;
  /** Of the others: Git's id of the file, a SHA-1 of its content with a header. */
  readonly gitId?: string;
}

/** A repository as it is now. */
export interface Repository {
  /** `OWNER/REPO`. */
  readonly name: string;
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
}

/** More pages than any repository has: a server that never ends is refused. */
const MOST_PAGES = 200;

/** @throws {HubError} */
export async function readRepository(client: HubClient, name: string): Promise<Repository> {
  const root = `${client.settings.endpoint}/api/models/${name}`;
  const { body } = await readJson(client, `${root}/revision/main`);
  const commit = (body as { sha?: unknown }).sha;
  if (typeof commit !== "string" || !/^[\da-f]{40}$/.test(commit)) throw strange(root, "names no commit");
  const files: RepositoryFile[] = [];
  let url: string | undefined = `${root}/tree/${commit}?recursive=true`;
  for (let page = 0; url !== undefined; page++) {
    if (page === MOST_PAGES) throw strange(root, `lists more than ${MOST_PAGES} pages of files`);
    const { body, next } = await readJson(client, url);
    if (!Array.isArray(body)) throw strange(root, "lists no files");
    files.push(...body.filter((entry) => entry?.type === "file").map((entry) => readEntry(root, entry)));
    url = next;
  }
  return { name, commit, files };
}

/** Where a file's bytes are asked for; the hub redirects from there. */
export function fileUrl(endpoint: string, { name, commit }: Repository, path: string): string {
  return `${endpoint}/${name}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

async function readJson(client: HubClient, url: string): Promise<{ body: unknown; next?: string }> {
  return await client.patiently(async () => {
    const response = await client.get(url, { signal: AbortSignal.timeout(client.patience.stallMilliseconds) })
      .catch((error) => {
        if (error?.name === "TimeoutError") throw new TemporaryError(`${new URL(url).host} does not answer`);
        throw error;
      });
    const [, next] = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("link") ?? "") ?? [];
    const text = await response.text().catch(() => {
      throw new TemporaryError(`The connection to ${new URL(url).host} broke`);
    });
    try {
      return { body: JSON.parse(text), next: next && new URL(next, url).href };
    } catch {
      throw strange(url, "is not JSON");
    }
  });
}

function readEntry(root: string, { path, size, oid, lfs }: Record<string, unknown>): RepositoryFile {
  const sha256 = (lfs as { oid?: unknown } | undefined)?.oid;
  if (typeof path !== "string" || !Number.isSafeInteger(size) || (size as number) < 0) {
    throw strange(root, "lists a file without a path or a size");
  }
  // The path becomes one on this machine's disk.
  if (path.split("/").some((part) => /^\.*$|[\\:*?"<>|\p{Cc}]/u.test(part))) {
    throw strange(root, `lists a file with the path ${JSON.stringify(path)}`);
  }
  if (typeof sha256 === "string" && /^[\da-f]{64}$/.test(sha256)) return { path, size: size as number, sha256 };
  return { path, size: size as number, gitId: typeof oid === "string" ? oid : undefined };
}

function strange(url: string, what: string): HubError {
  return new HubError(`The answer of ${url} ${what}: is HF_ENDPOINT the address of a hub?`);
}
