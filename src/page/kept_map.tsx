/** @file Layers by positions as one picture: where in the prompt each layer keeps rows. The more heads keep a row, the fuller its colour. */
import { useEffect, useRef } from "hono/jsx/dom";
import { keptShares, type Positions } from "./kept_rows.ts";

/** Pixels of a layer's line. */
const LINE = 8;
/** Most pixels of the height. */
const TALLEST = 200;
/** Most pixels of the width; longer prompts share them. */
const WIDEST = 1200;

interface Props {
  /** Of the layers that have been read so far. */
  readonly positions: Positions;
  /** Layers of the model; those that have not been read have an empty line. */
  readonly layers: number;
  readonly tokens: number;
}

export function KeptMap({ positions, layers, tokens }: Props) {
  const lines = Math.max(layers, positions.length);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current === null) return;
    const draw = () => drawMap(canvas.current!, { positions, layers: lines, tokens });
    draw();
    // Its colours are those of the page.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [positions, lines, tokens]);
  return (
    <canvas
      ref={canvas}
      class="map"
      style={{ height: `${Math.min(TALLEST, lines * LINE)}px` }}
      role="img"
      aria-label={`Where each of ${positions.length} layers keeps rows among ${tokens} tokens; the text below tells each of them`}
    />
  );
}

function drawMap(canvas: HTMLCanvasElement, { positions, layers, tokens }: Props): void {
  const columns = Math.min(tokens, WIDEST);
  canvas.width = columns;
  canvas.height = layers * LINE;
  const context = canvas.getContext("2d")!;
  context.fillStyle = getComputedStyle(canvas).color;
  positions.forEach((_, layer) => {
    const shares = keptShares(positions, tokens, layer);
    for (let column = 0; column < columns; column++) {
      const first = Math.floor(column * tokens / columns);
      const end = Math.max(first + 1, Math.floor((column + 1) * tokens / columns));
      context.globalAlpha = Math.max(...shares.subarray(first, end));
      if (context.globalAlpha > 0) context.fillRect(column, layer * LINE, 1, LINE - 1);
    }
  });
}
