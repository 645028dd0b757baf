/** @file All that the record of the program's behaviour takes from the program: where files move, only this one changes. */
export { EMBEDDED_MODEL } from "../../../src/serving/embedded_model.ts";
export { loadText } from "../../../src/serving/start_engine.ts";
export { type EngineClient, startEngineWorker as startEngine } from "../../../src/engine/client.ts";
export {
  type Generation,
  type GenerationEvent,
  type GenerationRequest,
  type KvCacheUsage,
} from "../../../src/contract/generation.ts";
export { GREEDY } from "../../../src/contract/sampling.ts";
export { parseKvCacheChoice } from "../../../src/policy/registry.ts";
export { withDirectory } from "../../../tests/support/files.ts";
export { GOLDEN_MODELS } from "../../../fixtures/golden_models.ts";
export { randomInteger, seededRandom } from "../../../fixtures/random.ts";
export { tinyGguf } from "../../../fixtures/tiny_model.ts";
