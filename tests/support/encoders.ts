/** @file The golden encoders, see tools/golden/encoder.py. */
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../golden/encoder/", import.meta.url);

interface GoldenText {
  readonly text: string;
  readonly ids: number[];
  readonly mean: number[];
  readonly cls: number[];
  readonly max: number[];
  readonly lasttoken: number[];
}

/** What Python makes of texts. */
export const golden: {
  readonly texts: readonly GoldenText[];
  readonly truncated: {
    readonly text: string;
    readonly tokens: number;
    readonly ids: number[];
    readonly mean: number[];
  };
  readonly query: string;
  readonly pairs: readonly {
    readonly document: string;
    readonly ids: number[];
    readonly types: number[];
    readonly logit: number;
  }[];
  readonly truncatedPair: {
    readonly document: string;
    readonly tokens: number;
    readonly ids: number[];
    readonly types: number[];
  };
} = JSON.parse(await Deno.readTextFile(new URL("golden.json", FOLDER)));

/** The folder of an encoder. */
export function encoderFolder(name: "embedder" | "reranker"): string {
  return fileURLToPath(new URL(name, FOLDER));
}
