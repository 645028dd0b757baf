/** @file What `main.ts inspect` tells about a model, as data and as text. */
import { BLOCK_ROWS, blockBytes, blocksFor } from "../cache/block.ts";
import { type ModelFile, ModelFileError, type TensorInfo } from "../formats/model_file.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { SERVE_FLAGS } from "./flags/serving.ts";
import { formatBytes, formatCount } from "./units.ts";

/** Bytes of a key or value element in the cache; f16 is `serve`'s default. */
const KV_ELEMENT_BYTES = 2;
/** The mean rows per layer that `serve` allots by default. */
const DEFAULT_BUDGET = SERVE_FLAGS.kvBudget.default;

/** Estimated GPU memory in bytes. */
export interface MemoryEstimate {
  readonly weights: number;
  /** Keys and values of one token in all layers. */
  readonly kvPerToken: number;
  /** One sequence that fills the context, every row kept. */
  readonly kvFullContext: number;
  /** One sequence whose prompt fills the context, at `budget` rows per layer. */
  readonly kvAtBudget: number;
  readonly budget: number;
  readonly context: number;
}

/** A model's report; `--json` prints it as it is. */
export interface ModelReport {
  readonly path: string;
  readonly format: string;
  readonly architecture: string | null;
  readonly parameters: number;
  readonly tensorBytes: number;
  /** Tensors by type, largest share of the bytes first. */
  readonly quantisation: readonly { readonly type: string; readonly tensors: number; readonly bytes: number }[];
  /** Null where Ebb cannot run the model; `unsupported` says why. */
  readonly memory: MemoryEstimate | null;
  readonly unsupported: string | null;
  /** Long lists and texts are abbreviated. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: readonly TensorInfo[];
}

type ReadConfig = (file: ModelFile) => Promise<ModelConfig>;

/**
 * Reports on an open model.
 *
 * @param readConfig reads the model's hyperparameters; a {@linkcode ModelFileError} of it becomes `unsupported`
 */
export async function reportModel(file: ModelFile, readConfig: ReadConfig): Promise<ModelReport> {
  const tensors = [...file.tensors.values()];
  const { config, unsupported } = await tryReadConfig(file, readConfig);
  return {
    path: file.path,
    format: file.format,
    architecture: config?.architecture ?? null,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
    tensorBytes: file.tensorBytes,
    quantisation: quantisationMix(tensors),
    memory: config && estimateMemory(config, file.tensorBytes),
    unsupported,
    metadata: Object.fromEntries(Object.entries(file.metadata).map(([key, value]) => [key, abbreviate(value)])),
    tensors,
  };
}

async function tryReadConfig(file: ModelFile, readConfig: ReadConfig) {
  try {
    return { config: await readConfig(file), unsupported: null };
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    return { config: null, unsupported: error.message };
  }
}

function quantisationMix(tensors: readonly TensorInfo[]): ModelReport["quantisation"] {
  return Object.entries(Object.groupBy(tensors, ({ type }) => type))
    .map(([type, group]) => ({
      type,
      tensors: group.length,
      bytes: group.reduce((sum, { byteLength }) => sum + byteLength, 0),
    }))
    .sort((a, b) => b.bytes - a.bytes);
}

function estimateMemory(config: ModelConfig, weights: number): MemoryEstimate {
  const { layerCount, kvHeadCount, headSize, contextLength } = config;
  const layerBlockBytes = blockBytes(kvHeadCount, headSize, KV_ELEMENT_BYTES);
  const kvOfRows = (rows: number) => layerCount * blocksFor(rows) * layerBlockBytes;
  return {
    weights,
    kvPerToken: layerCount * layerBlockBytes / BLOCK_ROWS,
    kvFullContext: kvOfRows(contextLength),
    kvAtBudget: kvOfRows(Math.min(DEFAULT_BUDGET, contextLength)),
    budget: DEFAULT_BUDGET,
    context: contextLength,
  };
}

const LONGEST_LIST = 8;
const LONGEST_TEXT = 200;

/** Shortens token lists and chat templates; 64-bit numbers, which JSON lacks, become plain ones or text. */
function abbreviate(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "string" && value.length > LONGEST_TEXT) {
    return `${value.slice(0, LONGEST_TEXT)}... (${formatCount(value.length)} characters)`;
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const list = Array.from(value as ArrayLike<unknown>);
    const start = list.slice(0, LONGEST_LIST).map(abbreviate);
    return list.length > LONGEST_LIST ? [...start, `... (${formatCount(list.length)} in all)`] : start;
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, abbreviate(inner)]));
  }
  return value;
}

/** The report for people. */
export function formatReport(report: ModelReport): string {
  const { memory } = report;
  return [
    `${report.path} (${report.format})`,
    "",
    ...table([
      ["Architecture", report.architecture ?? `not supported: ${report.unsupported}`],
      ["Parameters", formatCount(report.parameters)],
      ["Tensor data", formatBytes(report.tensorBytes)],
    ]),
    "",
    "Quantisation",
    ...table(report.quantisation.map(({ type, tensors, bytes }) => [type, `${tensors} tensors`, formatBytes(bytes)])),
    "",
    ...(memory === null ? [] : [
      "Estimated GPU memory",
      ...table([
        ["Weights", formatBytes(memory.weights)],
        ["KV cache per token", formatBytes(memory.kvPerToken)],
        [`KV cache, ${formatCount(memory.context)} tokens, every row`, formatBytes(memory.kvFullContext)],
        ...(memory.budget < memory.context
          ? [[
            `KV cache, ${formatCount(memory.context)} tokens, ${formatCount(memory.budget)} rows per layer`,
            formatBytes(memory.kvAtBudget),
          ]]
          : []),
      ]),
      "",
    ]),
    "Metadata",
    ...table(Object.entries(report.metadata).map(([key, value]) => [key, JSON.stringify(value)])),
    "",
    "Tensors",
    ...table(report.tensors.map(({ name, type, shape, byteLength }) => [
      name,
      type,
      shape.join(" x "),
      formatBytes(byteLength),
    ])),
  ].join("\n");
}

/** Rows of cells, indented, each column as wide as its widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  return rows.map((row) =>
    `  ${row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i])).join("  ")}`
  );
}
