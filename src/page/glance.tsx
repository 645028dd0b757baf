/** @file The server at a glance: tokens a second, who runs and waits, how full the cache is. */
import { useEffect, useState } from "hono/jsx/dom";
import { rate, type Reading, readMetrics } from "./metrics_text.ts";
import type { Server } from "./server.ts";

/** Milliseconds between two readings. */
const INTERVAL = 1000;
/** Readings that speeds are averaged over. */
const KEPT = 4;

interface Props {
  readonly server: Server;
  readonly model: string;
  /** Told how many layers there are, once that is known. */
  readonly onLayers: (layers: number) => void;
}

export function Glance({ server, model, onLayers }: Props) {
  const [readings, setReadings] = useState<readonly Reading[]>([]);
  const [isLost, setLost] = useState(false);
  const [isLoaded, setLoaded] = useState(true);
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    const look = async () => {
      // A page that nobody sees asks for nothing.
      if (document.visibilityState === "visible") {
        try {
          const reading = readMetrics(await server.text("metrics"), model, performance.now());
          if (isOver) return;
          onLayers(reading?.blocksUsedPerLayer.length ?? 0);
          setLoaded(reading !== null);
          setReadings((before) => reading === null ? [] : [...before.slice(1 - KEPT), reading]);
          setLost(false);
        } catch {
          if (isOver) return;
          setLost(true);
        }
      }
      timer = setTimeout(look, INTERVAL);
    };
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, []);
  if (!isLoaded) return <p class="hint glance">Not loaded: the first question loads it</p>;
  const last = readings.at(-1);
  if (last === undefined) return isLost ? <p class="error">The server's metrics cannot be read.</p> : null;
  const used = last.blocksUsedPerLayer.reduce((sum, blocks) => sum + blocks, 0);
  const most = Math.max(1, ...last.blocksUsedPerLayer);
  return (
    <dl class="glance" aria-label="The server at a glance">
      <Figure name="Tokens a second" value={rate(readings, "generatedTokens").toFixed(1)} />
      <Figure name="Prompt tokens a second" value={rate(readings, "promptTokens").toFixed(0)} />
      <Figure name="Running" value={String(last.running)} />
      <Figure name="Waiting" value={String(last.waiting)} />
      <div>
        <dt>Blocks of the cache</dt>
        <dd>
          {used} of {last.blocks}
          {used > 0 && (
            <span class="spark" role="img" aria-label={`Blocks by layer: ${last.blocksUsedPerLayer.join(", ")}`}>
              {last.blocksUsedPerLayer.map((blocks, layer) => (
                <span key={layer} style={{ height: `${100 * blocks / most}%` }} />
              ))}
            </span>
          )}
        </dd>
      </div>
      {isLost && <div class="lost" role="status">No answer from the server</div>}
    </dl>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
