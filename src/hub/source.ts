/** @file Where a model comes from, as users write it: `hf:OWNER/REPO`, `hf:OWNER/REPO:FILE`, or a URL. */
import { SourceError } from "./hub_error.ts";

/** A repository of the hub; what of it, see choose_files.ts. */
export interface HubSource {
  readonly kind: "hub";
  /** `OWNER/REPO`. */
  readonly repository: string;
  /** A file's path, or a word of its name such as `Q8_0`. */
  readonly file?: string;
}

/** A single file, somewhere. */
export interface UrlSource {
  readonly kind: "url";
  readonly url: URL;
}

export type ModelSource = HubSource | UrlSource;

/** Whether a model is somewhere else, rather than a path. */
export function isRemote(model: string): boolean {
  return /^(hf:|https?:\/\/)/i.test(model);
}

/** @throws {SourceError} when the text names neither a repository nor a URL */
export function parseSource(text: string): ModelSource {
  if (/^https?:\/\//i.test(text)) {
    const url = URL.parse(text);
    if (url === null || /\/$/.test(url.pathname)) {
      throw new SourceError(`${text} is no file's URL: expected one such as https://example.com/model.gguf`);
    }
    return { kind: "url", url };
  }
  const match = /^hf:([\w-][\w.-]*\/[\w-][\w.-]*)(?::(.+))?$/i.exec(text);
  if (match === null || match[1].includes("..")) {
    throw new SourceError(`${text} names no model: expected hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL`);
  }
  const [, repository, file] = match;
  return file === undefined ? { kind: "hub", repository } : { kind: "hub", repository, file };
}
