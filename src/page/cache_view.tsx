/** @file What the cache keeps of a prompt: figures, bars by layer, the picture of all layers, the text. */
import { useState } from "hono/jsx/dom";
import type { Answer, Cache } from "./answer.ts";
import { KeptMap } from "./kept_map.tsx";
import { KeptText } from "./kept_text.tsx";
import { keptInside, keptShares, tokensOf } from "./kept_rows.ts";
import { LayerBars } from "./layer_bars.tsx";

/** Most tokens whose text is drawn anew with every layer that has been read; longer ones wait for the last. */
const LIVE_TOKENS = 2000;

interface Props {
  readonly answer: Answer;
  /** Layers of the model, as far as is known. */
  readonly layers: number;
  /** A part of the prompt that is marked in it. */
  readonly sentence?: string;
  /** Rows that a whole bar stands for; those of the longest one by default. */
  readonly most?: number;
  /** What the view is called, where there are several. */
  readonly of?: string;
}

export function CacheView({ answer, layers, sentence, most, of }: Props) {
  const { rows, tokens, positions, cache, phase } = answer;
  const [layer, setLayer] = useState<number | undefined>(undefined);
  const isReading = phase === "reading";
  const scale = most ?? mostRows(answer);
  const marked = tokens !== null && sentence !== undefined ? tokensOf(tokens, sentence) : null;
  if (phase === "failed" && rows === null) return null;
  return (
    <section class="cache" aria-label={of === undefined ? "What the cache keeps" : `What the cache of ${of} keeps`}>
      <h3>What the cache keeps</h3>
      {cache && <p>{figures(cache)}</p>}
      {cache?.notes?.map((note) => <p key={note} class="hint">{note}.</p>)}
      {cache?.fallback && <p class="error">The policy failed, and uniform budgets took its place: {cache.fallback}</p>}
      {isReading && rows === null && <p class="hint">Waiting for the first layer to be read.</p>}
      {isReading && rows !== null && (
        <p class="hint">Reading: {rows.length} of {Math.max(layers, rows.length)} layers.</p>
      )}
      {rows !== null && (
        <>
          <h4>Rows by layer; a full bar is {Math.round(scale)}</h4>
          <LayerBars
            rows={rows}
            layers={isReading ? layers : rows.length}
            most={scale}
            chosen={layer}
            onChoose={setLayer}
          />
        </>
      )}
      {positions !== null && tokens !== null && (cache === null || tokens.length === cache.prompt_rows) && (
        <>
          <h4>Where in the prompt</h4>
          <p class="hint">Layers from top to bottom, the prompt from its beginning to its end</p>
          <KeptMap positions={positions} layers={isReading ? layers : positions.length} tokens={tokens.length} />
          {(!isReading || tokens.length <= LIVE_TOKENS) && (
            <>
              <h4>
                {layer === undefined
                  ? "Tokens, by how many heads of all layers keep them"
                  : `Tokens that layer ${layer} keeps`}
              </h4>
              <Legend />
              {marked !== null && <p>{needleSentence(positions, tokens.length, marked)}</p>}
              <KeptText tokens={tokens} positions={positions} layer={layer} marked={marked} />
            </>
          )}
        </>
      )}
    </section>
  );
}

/** Rows of the layer that keeps most, so far. */
export function mostRows({ rows }: Answer): number {
  return Math.max(1, ...(rows ?? []));
}

function Legend() {
  return (
    <p class="legend">
      <span class="heat0">dropped</span>
      {[1, 2, 3, 4].map((level) => (
        <span key={level} class={`heat${level}`}>{`${25 * level - 25}–${25 * level} %`}</span>
      ))}
    </p>
  );
}

function figures({ policy, prompt_rows, rows_per_layer, bytes, full_bytes }: Cache): string {
  const mean = rows_per_layer.reduce((sum, rows) => sum + rows, 0) / rows_per_layer.length;
  return `${policy} keeps ${Math.round(mean)} of ${prompt_rows} rows per layer: ${size(bytes)} instead of ${
    size(full_bytes)
  }.`;
}

function needleSentence(
  positions: Cache["positions"],
  tokens: number,
  { start, end }: { start: number; end: number },
): string {
  const { inside, outside } = keptInside(keptShares(positions, tokens), start, end);
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  return `Of the framed sentence ${percent(inside)} is kept, of all other tokens ${percent(outside)}.`;
}

/** Bytes for people. */
export function size(bytes: number): string {
  const [unit, power] = bytes >= 2 ** 30 ? ["GiB", 30] : bytes >= 2 ** 20 ? ["MiB", 20] : ["KiB", 10];
  const amount = bytes / 2 ** power;
  return `${amount >= 100 ? Math.round(amount) : amount.toPrecision(3)} ${unit}`;
}
