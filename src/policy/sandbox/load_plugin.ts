/** @file A bundle's plugins, in this thread or in a sandbox, as it was bundled for. */
import { evaluatePlugin } from "../loading/evaluate_plugin.ts";
import type { PluginBundle } from "../loading/plugin_bundle.ts";
import type { PluginFile } from "../registry.ts";
import { sandboxPlugin } from "./sandboxed_plugin.ts";

/** Evaluates a bundle. Its `close` is to be called in the end. @throws {PluginError} as {@link evaluatePlugin} */
export function loadPlugin(bundle: PluginBundle): PluginFile {
  return bundle.isSandboxed ? sandboxPlugin(bundle) : evaluatePlugin(bundle);
}

/** How long a sequence may go on with the plugins that it began with, in milliseconds. */
const FAREWELL_MILLISECONDS = 120_000;

/** Closes files that have been replaced, once those that use them still are done. */
export function closeLater(files: readonly PluginFile[]): void {
  const close = () => files.forEach((file) => file.close?.());
  if (files.some((file) => file.close !== undefined)) Deno.unrefTimer(Number(setTimeout(close, FAREWELL_MILLISECONDS)));
}
