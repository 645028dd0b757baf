/** @file What a generation came to, in the form in which it is recorded. */
import { createHash } from "node:crypto";
import type { Generation, GenerationEvent, KvCacheUsage } from "./program.ts";

/** Everything that a generation reported and that does not hang on time. */
export interface Outcome {
  readonly tokens: readonly number[];
  readonly text?: string;
  /** Of the tokens: f32 as base64, little-endian. */
  readonly logprobs: string;
  /** Of the most likely tokens of each position: ids, and log-probabilities as above. */
  readonly alternatives: { readonly tokens: readonly number[]; readonly logprobs: string };
  readonly kvCache: KvCacheUsage | null;
  /** By eviction: the tokens that were reported before it, and the rows that each layer then holds. */
  readonly evictions: readonly { readonly after: number; readonly rowsPerLayer: readonly number[] }[];
  /** SHA-256 of each of the logits that were asked for. */
  readonly logits: readonly string[];
  readonly end: string;
}

/** Reads a generation to its end. `onEvent` sees each event first. */
export async function outcomeOf(
  generation: Generation,
  decode?: (tokens: readonly number[]) => string,
  onEvent: (event: GenerationEvent) => void = () => {},
): Promise<Outcome> {
  const tokens: number[] = [];
  const logprobs: number[] = [];
  const alternatives = { tokens: [] as number[], logprobs: [] as number[] };
  const evictions: { after: number; rowsPerLayer: readonly number[] }[] = [];
  const logits: string[] = [];
  const ends: string[] = [];
  let kvCache: KvCacheUsage | null = null;
  for await (const event of generation.events) {
    onEvent(event);
    if (event.type === "prefilled") kvCache = wholeUsage(event.kvCache);
    else if (event.type === "evicted") evictions.push({ after: tokens.length, rowsPerLayer: event.rowsPerLayer });
    else if (event.type === "logits") logits.push(...event.logits.map(hashOf));
    else if (event.type === "tokens") {
      for (const { id, logprob, topLogprobs = [] } of event.tokens) {
        tokens.push(id);
        logprobs.push(logprob!);
        alternatives.tokens.push(...topLogprobs.map(({ id }) => id));
        alternatives.logprobs.push(...topLogprobs.map(({ logprob }) => logprob));
      }
    } else if (event.type === "failed") ends.push(`failed: ${event.message}`);
    else if (event.type !== "reading" && event.type !== "embedding") {
      ends.push(`${event.type}: ${event.reason}, ${event.completionTokens} tokens`);
    }
  }
  return {
    tokens,
    ...decode && { text: decode(tokens) },
    logprobs: floatsToText(logprobs),
    alternatives: { tokens: alternatives.tokens, logprobs: floatsToText(alternatives.logprobs) },
    kvCache,
    evictions,
    logits,
    end: ends.join(", "),
  };
}

/**
 * Of a prompt that is kept whole by a sequence that evicts later, the program counts the rows that it has generated meanwhile as
 * well: how many, time decides.
 */
function wholeUsage(usage: KvCacheUsage): KvCacheUsage {
  const { promptRows, rowsPerLayer, fullBytes } = usage;
  if (rowsPerLayer.some((rows) => rows < promptRows)) return usage;
  return { ...usage, rowsPerLayer: rowsPerLayer.map(() => promptRows), bytes: fullBytes };
}

function hashOf(values: Float32Array): string {
  return createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex");
}

/** @throws {RangeError} when a value is no f32, whose record would not be exact */
function floatsToText(values: readonly number[]): string {
  const floats = Float32Array.from(values);
  const changed = values.findIndex((value, i) => !Object.is(value, floats[i]) && !Number.isNaN(value));
  if (changed >= 0) throw new RangeError(`${values[changed]} is no number of single precision`);
  return new Uint8Array(floats.buffer).toBase64();
}

/** The inverse of what {@link Outcome} holds. */
export function floatsOf(text: string): Float32Array {
  return new Float32Array(Uint8Array.fromBase64(text).buffer);
}
