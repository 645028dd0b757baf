/** @file Loads plugins anew when their files change. */
import { dirname } from "node:path";

/** How long a file must have been left alone, in milliseconds: editors write in several steps. */
const SETTLE_MILLISECONDS = 200;

/**
 * Watches files and directories.
 *
 * @param reload called after a change; never twice at once
 * @returns ends it
 */
export function watchPlugins(paths: readonly string[], reload: () => Promise<void>): () => void {
  // Editors put a new file in the place of the old one, which is seen in its directory alone; neighbours lie there, too.
  const directories = [...new Set(paths.map((path) => Deno.statSync(path).isDirectory ? path : dirname(path)))];
  const watcher = Deno.watchFs(directories, { recursive: false });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = Promise.resolve();
  (async () => {
    for await (const { kind } of watcher) {
      if (kind === "access") continue;
      clearTimeout(timer);
      timer = setTimeout(() => running = running.then(reload), SETTLE_MILLISECONDS);
    }
  })();
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
