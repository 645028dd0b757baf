/** @file All that the record of the program's behaviour takes from the program: where files move, only this one changes. */
import type { KvCacheChoice } from "../../../src/contract/generation.ts";
import { startEngineWorker } from "../../../src/engine/client.ts";
import { parseKvCacheChoice as parse } from "../../../src/policy/choice.ts";
import { builtInPolicies } from "../../../src/serving/policies.ts";

export { EMBEDDED_MODEL } from "../../../src/serving/embedded_model.ts";
export { loadText } from "../../../src/serving/start_engine.ts";
export type { EngineClient } from "../../../src/engine/client.ts";
export type { Generation, GenerationEvent, GenerationRequest, KvCacheUsage } from "../../../src/contract/generation.ts";
export { GREEDY } from "../../../src/contract/sampling.ts";
export { withDirectory } from "../../../tests/support/files.ts";
export { GOLDEN_MODELS } from "../../../fixtures/golden_models.ts";
export { randomInteger, seededRandom } from "../../../fixtures/random.ts";
export { tinyGguf } from "../../../fixtures/tiny_model.ts";

export const startEngine = (options: Omit<Parameters<typeof startEngineWorker>[0], "policies">) =>
  startEngineWorker({ ...options, policies: builtInPolicies });

export const parseKvCacheChoice = (value: unknown, defaults: KvCacheChoice) => parse(value, defaults, builtInPolicies);
