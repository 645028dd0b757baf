/** @file Plugin files of users, written for a test. */
import { dirname, join } from "node:path";
import { type PluginBundle, PluginError } from "../../src/policy/loading/plugin_bundle.ts";
import { bundlePlugins } from "../../src/policy/loading/bundle_plugins.ts";
import { registryOf } from "../../src/serving/policies.ts";

/** Writes files to a directory of their own and removes them in the end. */
export async function withPlugins<T>(
  files: Readonly<Record<string, string>>,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "ebb-plugins-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = join(directory, name);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    return await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The bundles of a plugin and of its neighbours, if it has any. */
export function bundled(
  text: string,
  neighbours: Readonly<Record<string, string>> = {},
  isSandboxed = false,
): Promise<PluginBundle[]> {
  return withPlugins(
    { "mine.ts": text, ...neighbours },
    (directory) => bundlePlugins([join(directory, "mine.ts")], isSandboxed),
  );
}

/** Why a plugin is refused, without the directory that it was in. */
export function refusalOf(text: string, neighbours: Readonly<Record<string, string>> = {}): Promise<string> {
  return withPlugins({ "mine.ts": text, ...neighbours }, async (directory) => {
    try {
      registryOf(await bundlePlugins([join(directory, "mine.ts")]));
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      return error.message.replaceAll(`${directory}/`, "");
    }
    throw new Error("The plugin was accepted");
  });
}

/**
 * A test in which plugins are bundled: esbuild is a Go program, whose runtime sets timers of its own and never clears them, so
 * that only what tests themselves start can be asked back.
 */
export function pluginTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}
