/** @file Layers by positions as one picture: where in the prompt each layer keeps rows. The more heads keep a row, the fuller its colour. */
import { useEffect, useRef } from "hono/jsx/dom";
import { keptShares, type Positions } from "./kept_rows.ts";

/** Pixels of a layer's line. */
const LINE = 8;
/** Most pixels of the height. */
const TALLEST = 200;
/** Most pixels of the width; longer prompts share them. */
const WIDEST = 1200;

export function KeptMap({ positions, tokens }: { readonly positions: Positions; readonly tokens: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current === null) return;
    const draw = () => drawMap(canvas.current!, positions, tokens);
    draw();
    // Its colours are those of the page.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [positions, tokens]);
  return (
    <canvas
      ref={canvas}
      class="map"
      style={{ height: `${Math.min(TALLEST, positions.length * LINE)}px` }}
      role="img"
      aria-label={`Where each of ${positions.length} layers keeps rows among ${tokens} tokens; the text below tells each of them`}
    />
  );
}

function drawMap(canvas: HTMLCanvasElement, positions: Positions, tokens: number): void {
  const columns = Math.min(tokens, WIDEST);
  canvas.width = columns;
  canvas.height = positions.length * LINE;
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
