/** @file All that the record of the program's behaviour takes from the program: where files move, only this one changes. */
export { EMBEDDED_MODEL } from "../../../src/cli/embedded_model.ts";
export { loadText } from "../../../src/cli/start_engine.ts";
export { type EngineClient, startEngine } from "../../../src/engine/client.ts";
export {
  type Generation,
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
  type KvCacheUsage,
} from "../../../src/engine/messages.ts";
export { parseKvCacheChoice } from "../../../src/plugins/registry.ts";
export { withDirectory } from "../../../tests/support/files.ts";
export { GOLDEN_MODELS } from "../../../tests/support/golden_models.ts";
export { randomInteger, seededRandom } from "../../../tests/support/random.ts";
export { tinyGguf } from "../../../tests/support/tiny_model.ts";
