/** @file The KV cache policies that requests and flags can name. */
import { BUILT_IN_POLICIES } from "../plugins/built_in.ts";
import { bundlePlugins } from "../policy/loading/bundle_plugins.ts";
import { type PluginBundle, PluginError } from "../policy/loading/plugin_bundle.ts";
import { type PluginFile, PolicyRegistry } from "../policy/registry.ts";
import { loadPlugin } from "../policy/sandbox/load_plugin.ts";

/** Those that come with Ebb. */
export const builtInPolicies = new PolicyRegistry(BUILT_IN_POLICIES);

/**
 * The policies that come with Ebb, and those of files and directories.
 *
 * @param isSandboxed whether files are evaluated in sandboxes
 * @throws {PluginError} naming the file, and where in it
 */
export async function loadPolicies(plugins: readonly string[] = [], isSandboxed = false): Promise<PolicyRegistry> {
  return registryOf(await bundlePlugins(plugins, isSandboxed));
}

/** The same of bundles. @throws {PluginError} */
export function registryOf(bundles: readonly PluginBundle[]): PolicyRegistry {
  const files: PluginFile[] = [];
  for (const bundle of bundles) {
    files.push(loadPlugin(bundle));
    try {
      // One by one, so that it is known whose name is taken.
      new PolicyRegistry(BUILT_IN_POLICIES, files);
    } catch (error) {
      files.forEach((file) => file.close?.());
      throw new PluginError(`${bundle.file}: ${(error as Error).message}`);
    }
  }
  return new PolicyRegistry(BUILT_IN_POLICIES, files);
}
