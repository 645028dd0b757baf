/** @file How far prompts are read, seen from outside an engine. */
import type { Engine } from "../contract/engine.ts";
import type { Generation, GenerationEvent, GenerationRequest } from "../contract/generation.ts";

/** The prompts that are being read, in tokens; where some layers have read a token and others have not, parts of it count. */
export interface ReadingProgress {
  readonly done: number;
  readonly total: number;
  /** All that was read since nobody's prompt was, those included whose prompts have been read to their ends. */
  readonly read: number;
}

/** A prompt that is being read, by one or several generations at once. */
interface Reading {
  readonly prompt: Uint32Array;
  share: number;
  generations: number;
}

/**
 * An engine that does what the given one does, and tells how far its prompts have been read. Equal prompts, which are read
 * once, count once.
 *
 * @param tell told with each step, and null when the last prompt has been read or given up
 */
export function watchReading(engine: Engine, tell: (progress: ReadingProgress | null) => void): Engine {
  const readings: Reading[] = [];
  let readToEnd = 0;

  const report = () => {
    const done = readings.reduce((sum, { prompt, share }) => sum + share * prompt.length, 0);
    const total = readings.reduce((sum, { prompt }) => sum + prompt.length, 0);
    tell({ done, total, read: readToEnd + done });
  };

  const begin = (prompt: Uint32Array): Reading => {
    let reading = readings.find((reading) => isSame(reading.prompt, prompt));
    if (reading === undefined) readings.push(reading = { prompt, share: 0, generations: 0 });
    reading.generations++;
    report();
    return reading;
  };

  const end = (reading: Reading) => {
    if (--reading.generations > 0) return;
    readings.splice(readings.indexOf(reading), 1);
    readToEnd += reading.prompt.length;
    if (readings.length > 0) return report();
    readToEnd = 0;
    tell(null);
  };

  async function* watched(events: AsyncIterable<GenerationEvent>, reading: Reading): AsyncGenerator<GenerationEvent> {
    let isReading = true;
    try {
      for await (const event of events) {
        if (event.type === "reading") {
          reading.share = event.share;
          report();
        } else if (isReading) {
          // Whatever comes next, the prompt has been read, or never will be.
          isReading = false;
          end(reading);
        }
        yield event;
      }
    } finally {
      if (isReading) end(reading);
    }
  }

  return {
    get model() {
      return engine.model;
    },
    get device() {
      return engine.device;
    },
    get defaultKvCache() {
      return engine.defaultKvCache;
    },
    get maxSequences() {
      return engine.maxSequences;
    },
    get state() {
      return engine.state;
    },
    fittingTokens: (request) => engine.fittingTokens(request),
    stats: () => engine.stats(),
    generate(request: GenerationRequest): Generation {
      const generation = engine.generate({ ...request, reportsReading: true });
      return {
        events: watched(generation.events, begin(request.prompt)),
        abort: () => generation.abort(),
        resume: (resumption) => generation.resume(resumption),
      };
    },
  };
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((token, i) => token === b[i]);
}
