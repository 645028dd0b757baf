/** @file The rows that a sequence holds on the GPU once its prompt has been read. */
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { Admission } from "../../src/engine/admission.ts";
import type { SequenceCache } from "../../src/cache/sequence_cache.ts";
import type { HeldKeys } from "./cpu.ts";
import type { Outcome } from "./engine.ts";
import type { PolicyRegistry } from "../../src/policy/registry.ts";
import { type ObservedModel, TestRun } from "./scheduling.ts";

/** Where a sequence's rows lie: blocks and slots as its tables had them. */
interface Layout {
  readonly arena: number;
  readonly layers: readonly {
    readonly table: readonly number[];
    readonly rankedBlocks: number;
    readonly ranked: readonly number[];
    readonly firstSlots: readonly number[] | null;
    readonly recent: number;
  }[];
}

/** Runs a request alone; it must ask for more than one token, so that rows have moved where they belong. */
export async function runOnGpu(
  observed: ObservedModel,
  request: GenerationRequest,
  policies?: PolicyRegistry,
): Promise<{ outcome: Outcome; held: HeldKeys }> {
  const { config } = observed.model;
  let cache: SequenceCache | undefined;
  let layout: Layout | undefined;
  const { tryAdmit } = Admission.prototype;
  Admission.prototype.tryAdmit = function (sequence) {
    const admitted = tryAdmit.call(this, sequence);
    if (admitted) cache = sequence.residence.cache;
    return admitted;
  };
  try {
    const run = new TestRun(observed.model, (_, event) => {
      if (event.type === "prefilled") {
        layout = layoutOf(cache!, config.kvHeadCount, request.prompt.length, event.kvCache);
      }
    }, policies);
    run.add(request);
    const { outcomes: [outcome] } = await run.end();
    const arena = await observed.readArena(layout!.arena);
    return { outcome, held: keysOf(arena, layout!, config.kvHeadCount, config.headSize) };
  } finally {
    Admission.prototype.tryAdmit = tryAdmit;
  }
}

function layoutOf(
  cache: SequenceCache,
  kvHeadCount: number,
  promptRows: number,
  { rowsPerLayer }: { readonly rowsPerLayer: readonly number[] },
): Layout {
  return {
    arena: cache.arena,
    layers: rowsPerLayer.map((rows, layer) => {
      const heads = cache.packedHeads(layer);
      const ranked = heads ? Array.from(heads.rows) : Array(kvHeadCount).fill(cache.rankedRows[layer]);
      const mean = ranked.reduce((sum, count) => sum + count) / kvHeadCount;
      return {
        table: [...cache.table(layer)],
        rankedBlocks: cache.rankedBlocks(layer),
        ranked,
        firstSlots: heads ? Array.from(heads.firstSlots) : null,
        // Rows may have been generated since.
        recent: Math.min(promptRows, Math.round(rows - mean)),
      };
    }),
  };
}

function keysOf(arena: Float32Array, { layers }: Layout, kvHeadCount: number, headSize: number): HeldKeys {
  const slotElements = 2 * BLOCK_ROWS * headSize;
  return layers.map(({ table, rankedBlocks, ranked, firstSlots, recent }) =>
    ranked.map((rows, head) => {
      const keys: number[] = [];
      const take = (block: number, place: number, row: number) => {
        const at = (block * kvHeadCount + place) * slotElements + row * headSize;
        keys.push(...arena.subarray(at, at + headSize));
      };
      for (let row = 0; row < rows; row++) {
        const slot = firstSlots === null
          ? Math.floor(row / BLOCK_ROWS) * kvHeadCount + head
          : firstSlots[head] + Math.floor(row / BLOCK_ROWS);
        take(table[Math.floor(slot / kvHeadCount)], slot % kvHeadCount, row % BLOCK_ROWS);
      }
      for (let row = 0; row < recent; row++) {
        take(table[rankedBlocks + Math.floor(row / BLOCK_ROWS)], head, row % BLOCK_ROWS);
      }
      return keys;
    })
  );
}
