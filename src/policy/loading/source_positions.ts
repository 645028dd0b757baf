/** @file Where in a user's file something happened, found through the source map of its bundle. */
import { SourceMap } from "node:module";
import { basename } from "node:path";
import type { PluginBundle } from "./plugin_bundle.ts";

/** A place in a user's file, as `FILE:LINE:COLUMN`. */
export class SourcePositions {
  readonly #map: SourceMap;
  readonly #sources: readonly { readonly name: string; readonly text: string }[];

  /** @param url by which stack traces name the evaluated bundle */
  constructor(readonly bundle: PluginBundle, readonly url: string) {
    const payload = JSON.parse(bundle.map);
    this.#map = new SourceMap(payload);
    this.#sources = payload.sources.map((name: string, i: number) => ({ name, text: payload.sourcesContent[i] }));
  }

  /** Where the innermost call of the plugin was when an error was made; undefined where none of its calls was under way. */
  ofError(error: unknown): string | undefined {
    const stack = error instanceof Error ? error.stack ?? "" : "";
    for (const [, url, line, column] of stack.matchAll(/(ebb-plugin:[^:),]+)[^()\n]*?:(\d+):(\d+)/g)) {
      const place = url === this.url ? this.of(Number(line), Number(column)) : undefined;
      if (place !== undefined) return place;
    }
  }

  /** Of a place in the bundle, counted from 1. */
  of(line: number, column: number): string | undefined {
    const entry = this.#map.findEntry(line - 1, column - 1);
    if (!("originalSource" in entry) || entry.originalSource === undefined) return undefined;
    return `${this.#nameOf(entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  }

  /** Of a line of a text that one of the sources holds as it is, such as a template literal with WGSL; undefined if none does. */
  ofText(text: string, line: number, column: number): string | undefined {
    for (const source of this.#sources) {
      const start = source.text.indexOf(text);
      if (start < 0) continue;
      const before = source.text.slice(0, start).split("\n");
      const shift = line === 1 ? before.at(-1)!.length : 0;
      return `${this.#nameOf(source.name)}:${before.length + line - 1}:${column + shift}`;
    }
  }

  /** The file as the user named it; a neighbour by its name alone. */
  #nameOf(source: string): string {
    const { file } = this.bundle;
    return basename(source) === basename(file) ? file : basename(source);
  }
}

/** Adds the place to a message. */
export function placed(message: string, place: string | undefined): string {
  return place === undefined ? message : `${message} (${place})`;
}
