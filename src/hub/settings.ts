/** @file Where the hub is, who asks, and where models are kept: from environment variables that other tools read too. */
import { homedir } from "node:os";
import { join } from "node:path";
import { SourceError } from "./hub_error.ts";

export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string;
  /** Goes to the endpoint alone, never to where it redirects. */
  readonly token?: string;
  /** Nothing is asked of the network. */
  readonly offline: boolean;
  /** The cache of models. */
  readonly directory: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` as the hub's own client reads them; `EBB_CACHE`, or where the system has its
 * caches.
 *
 * @throws {SourceError} when `HF_ENDPOINT` is no URL
 */
export function hubSettings(
  environment: Environment = Deno.env.toObject(),
  os: typeof Deno.build.os = Deno.build.os,
): HubSettings {
  const endpoint = environment.HF_ENDPOINT || "https://huggingface.co";
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new SourceError(`HF_ENDPOINT must be a URL such as https://huggingface.co, not ${JSON.stringify(endpoint)}`);
  }
  return {
    endpoint: endpoint.replace(/\/+$/, ""),
    token: environment.HF_TOKEN || undefined,
    offline: /^(1|on|yes|true)$/i.test(environment.HF_HUB_OFFLINE ?? ""),
    directory: environment.EBB_CACHE || join(systemCache(environment, os), "ebb", "models"),
  };
}

function systemCache(environment: Environment, os: typeof Deno.build.os): string {
  const home = environment.HOME || homedir();
  if (os === "windows") return environment.LOCALAPPDATA || join(home, "AppData", "Local");
  if (os === "darwin") return join(home, "Library", "Caches");
  return environment.XDG_CACHE_HOME || join(home, ".cache");
}
