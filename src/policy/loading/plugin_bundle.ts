/** @file A plugin file as one text: what any thread can make the same plugins of. Plain data. */

/** A plugin file and all that it imports of its neighbours. */
export interface PluginBundle {
  /** The file, as whoever named it knows it. */
  readonly file: string;
  /** JavaScript in CommonJS's form; `require("ebb/policy")` is all that it asks for. It bounds its loops: see bounded_loops.ts. */
  readonly code: string;
  /** The source map of the code, as JSON: version 3, with the sources' text. */
  readonly map: string;
  /** Whether it is evaluated in a sandbox of its own: see sandbox/. */
  readonly isSandboxed: boolean;
}

/** A policy plugin that cannot be used. The message is for people and says where. */
export class PluginError extends Error {
  override name = "PluginError";
}
