/** @file The worker behind client.ts: loads the encoder of the folder it is told, on the device it is told, then encodes texts, in batches. */
import { parentPort, workerData } from "node:worker_threads";
import { batchOf, groupByLength } from "./batches.ts";
import { TextsEncoder, TooLongError } from "./encode_texts.ts";
import { type EncoderFolder, readEncoderFolder } from "./encoder_folder.ts";
import { OnnxSession } from "./onnx_session.ts";
import { normalise, pool } from "./pooling.ts";
import type { EncoderRequest, EncoderTask, EncoderWorkerData, FromEncoderWorker, TaskResult } from "./protocol.ts";

const post = (message: FromEncoderWorker) => parentPort!.postMessage(message);

try {
  const { path, device }: EncoderWorkerData = workerData;
  const folder = await readEncoderFolder(path);
  const session = await OnnxSession.open(folder.modelPath, device).catch((error) => {
    throw new Error(`${folder.modelPath} cannot be run: ${error.message}`);
  });
  if (session.kind === "reranker" && session.dimensions !== 1) {
    throw new Error(`${folder.modelPath} has ${session.dimensions} labels: expected a reranker, with one`);
  }
  const texts = new TextsEncoder(folder.tokenizer, folder.tokenizerConfig, folder.maximumTokens);
  parentPort!.on("message", async ({ tasks }: EncoderRequest) => {
    try {
      post({ type: "results", results: await run(tasks, { folder, session, texts }) });
    } catch (error) {
      post({ type: "error", message: (error as Error).message });
    }
  });
  const { kind, dimensions, computesOn } = session;
  const { maximumTokens } = folder;
  const { vocabularySize } = texts;
  post({ type: "ready", model: { kind, dimensions, maximumTokens, vocabularySize, device: computesOn } });
} catch (error) {
  post({ type: "failed", message: (error as Error).message });
}

interface Loaded {
  readonly folder: EncoderFolder;
  readonly session: OnnxSession;
  readonly texts: TextsEncoder;
}

async function run(tasks: readonly EncoderTask[], { folder, session, texts }: Loaded): Promise<TaskResult[]> {
  const results: TaskResult[] = [];
  const sequences = tasks.map((task, at) => {
    try {
      return texts.encode(task);
    } catch (error) {
      if (!(error instanceof TooLongError)) throw error;
      results[at] = { tooLong: error.tokens };
      return { ids: [], types: [] };
    }
  });
  const toRun = sequences.map((_, at) => at).filter((at) => results[at] === undefined);
  for (const group of groupByLength(toRun.map((at) => sequences[at]), session.scalesTogether)) {
    const batch = batchOf(group.map((at) => sequences[toRun[at]]));
    const { values } = await session.run(batch);
    group.forEach((at, row) => {
      const tokens = sequences[toRun[at]].ids.length;
      results[toRun[at]] = { values: read(values, row, batch.tokens, tokens, { folder, session }), tokens };
    });
  }
  return results;
}

/** What came out for one row of a batch. */
function read(
  output: Float32Array,
  row: number,
  rowTokens: number,
  tokens: number,
  { folder, session: { kind, dimensions } }: Pick<Loaded, "folder" | "session">,
): Float32Array {
  if (kind === "reranker") {
    const logit = output[row];
    return Float32Array.of(folder.scoresAreLogits ? logit : 1 / (1 + Math.exp(-logit)));
  }
  const start = row * rowTokens * dimensions;
  const vector = pool(output.subarray(start, start + tokens * dimensions), dimensions, folder.pooling);
  return folder.normalises ? normalise(vector) : vector;
}
