/**
 * @file Faults, each a small change of a line that some test must notice. A fault that no test can notice is none: where a
 * change makes no difference, it is not listed here, or says why it stays.
 */

/** One change of one file. */
export interface Mutation {
  readonly file: string;
  /** Stands once in the file. */
  readonly from: string;
  readonly to: string;
  /** Files or folders of tests, of which one must fail. */
  readonly tests: readonly string[];
}

/** Changes of one file that the same tests must notice. */
const of = (file: string, tests: readonly string[], ...changes: readonly (readonly [from: string, to: string])[]) =>
  changes.map(([from, to]): Mutation => ({ file, from, to, tests }));

const BUDGETS = ["tests/cache/budgets_test.ts"];
const POOL = ["tests/cache/block_pool_test.ts", "tests/cache/prefix_index_test.ts"];
const CHOICE = ["tests/policy/registry_test.ts"];
const SCHEDULER = ["tests/engine/scheduler_test.ts", "tests/engine/admission_test.ts"];

export const MUTATIONS: readonly Mutation[] = [
  ...of(
    "src/cache/budgets.ts",
    BUDGETS,
    ["Math.round(value / 100 * promptLength)", "Math.ceil(value / 100 * promptLength)"],
    ["Math.round(value / 100 * promptLength)", "Math.floor(value / 100 * promptLength)"],
    ["value > 0 && value <= 100", "value > 0 && value < 100"],
    ["Math.max(1, budget - window)", "Math.max(0, budget - window)"],
    ["if (rows > held[i]) {", "if (rows >= held[i]) {"],
    ["if (sum > total) return", "if (sum >= total) return"],
    ["(rows[layer] + pieceEnd(layer)) / 2", "pieceEnd(layer)"],
    ["share(layer) >= caps[layer]", "share(layer) > 2 * caps[layer]"],
    ["b.share % 1 - a.share % 1", "a.share % 1 - b.share % 1"],
    ["Math.max(count, floors[i]) - taken[i]", "Math.max(count, floors[i])"],
  ),
  ...of(
    "src/cache/block_pool.ts",
    POOL,
    ["(_, i) => blocks - 1 - i", "(_, i) => i"],
    ["return freeCount + idleCount;", "return freeCount;"],
    ["return count <= this.freeBlocks(arena);", "return count < this.freeBlocks(arena);"],
    ["count - state.freeCount);", "count);"],
    ["if (state.holders[id] === 0) state.idleCount--;", ""],
    ["if (--state.holders[id] > 0) continue;", "state.holders[id] = 0;"],
    ["this.#usedPerLayer[state.owners[id]]--;", ""],
    ["if (state.kept[id] === 1) state.idleCount++;", "if (state.kept[id] === 2) state.idleCount++;"],
    [
      "// Last first, so that blocks released together are handed out again in the same order.\n    for (let i = ids.length - 1; i >= 0; i--)",
      "for (let i = 0; i < ids.length; i++)",
    ],
  ),
  ...of(
    "src/cache/block_forecast.ts",
    ["tests/cache/block_forecast_test.ts"],
    ["layerCount * blocksFor(promptLength + newRows)", "layerCount * blocksFor(promptLength)"],
    ["(layer + 1) * blocksFor(window)", "layer * blocksFor(window)"],
    ["Math.max(peak, settled + layerCount * blocksFor(window + newRows))", "peak"],
    ["blocksFor(Math.max(provisionalRows, base))", "blocksFor(base)"],
    ["sharedLayers = layer + 1;", "sharedLayers = layer + 2;"],
    ["perHead ? 1 - 1 / kvHeadCount : 0", "0"],
    ["+ window + interval + BLOCK_ROWS - 1;", "+ window + interval;"],
    ["Math.floor(layerCount * (rows + BLOCK_ROWS - 1) / BLOCK_ROWS)", "Math.floor(layerCount * rows / BLOCK_ROWS)"],
  ),
  ...of(
    "src/cache/sequence_cache.ts",
    ["tests/cache/sequence_cache_test.ts"],
    ["if (rows > this.rankedRows[layer]) {", "if (rows >= this.rankedRows[layer]) {"],
    ["this.pool.release(this.arena, released);\n", ""],
    ["heads.firstSlots[head] + i : i * headCount + head", "heads.firstSlots[head] + i : i * headCount"],
  ),
  ...of(
    "src/plugins/dynamickv.ts",
    ["tests/plugins/dynamickv_test.ts"],
    ["Math.min(rows, base * layerCount)", "rows"],
    ["Math.max(1, blocks * BLOCK_ROWS)", "blocks * BLOCK_ROWS"],
    ["if (seen === layerCount) counts[seen - 1] +=", "if (seen > layerCount) counts[seen - 1] +="],
    ["denominator === 0 ? 0 :", "denominator === 1 ? 0 :"],
    ["budgets[seen - 1] += total - sum(budgets);", ""],
  ),
  ...of(
    "src/plugins/pyramidkv.ts",
    ["tests/plugins", "tests/policy/fence_test.ts", "tests/engine/policies_test.ts"],
    ["2 * base - base / beta", "2 * base"],
    ["layer * (layer - 1) / 2", "layer * layer / 2"],
  ),
  ...of(
    "src/policy/fence.ts",
    ["tests/policy/fence_test.ts", "tests/engine/plugin_steps_test.ts"],
    ["rows > this.#scoredRows) {", "rows >= this.#scoredRows) {"],
    ["if (layer === this.context.layerCount - 1) return true;", ""],
    ["this.#policy = null;\n        // What queries", "// What queries"],
    ["return withFloors(checked.rows, held, this.#floor);", "return checked.rows;"],
    ["this.#base * this.context.layerCount * heads", "this.#base * this.context.layerCount"],
  ),
  ...of(
    "src/policy/choice.ts",
    CHOICE,
    ["budgetOf(given.budget ?? defaults.budget, policy, registry)", "budgetOf(defaults.budget, policy, registry)"],
    ["policy.name === defaults.policy ? defaults : undefined", "defaults"],
    ["{ ...inherited?.options, ...given.options }", "{ ...given.options, ...inherited?.options }"],
  ),
  ...of(
    "src/engine/scheduler.ts",
    SCHEDULER,
    ["forecast.blocks > this.prefixIndex.pool.largestArena", "forecast.blocks > Infinity"],
    ["if (needed > rows ||", "if (needed >= rows ||"],
    ["wider.length > prompts ||", "wider.length > 1 + prompts ||"],
    ['this.#finish(sequence, "aborted");', ""],
    ["if (sequence.policy !== null) this.#running.push(sequence);", "this.#running.push(sequence);"],
  ),
  ...of(
    "src/engine/waiting_line.ts",
    ["tests/engine/waiting_line_test.ts"],
    ["const { priority = 0 } = member.request;", "const { priority = 1 } = member.request;"],
  ),
  ...of(
    "src/architecture/rope.ts",
    ["tests/architecture/rope_test.ts"],
    ["Math.max(high - low, 0.001), 0), 1)", "Math.max(high - low, 0.001), 0), 2)"],
  ),
  ...of(
    "src/policy/loading/bounded_loops.ts",
    ["tests/policy/loading/bounded_loops_test.ts"],
    ["directive !== undefined).at(-1)", "directive !== undefined).at(-2)"],
  ),
  ...of(
    "src/text/message_ranges.ts",
    ["tests/text/message_ranges_test.ts"],
    ["(row + 1) / tokens.length * text.length", "row / tokens.length * text.length"],
  ),
  ...of(
    "src/text/grammar/own_grammar.ts",
    ["tests/text/grammar/own_grammar_test.ts"],
    ['skip("*")) body = repeat(body, 0)', 'skip("*")) body = repeat(body, 1)'],
  ),
  ...of(
    "src/text/detokenizer.ts",
    ["tests/text/detokenizer_test.ts"],
    ["!this.#shown?.has(id)", "this.#shown?.has(id)"],
    ["this.#dropSpace = false;", ""],
    ["{ stream: true }", "{ stream: false }"],
    ["tokenizer.addSpacePrefix && !continuation", "tokenizer.addSpacePrefix"],
  ),
  ...of(
    "src/text/stop_strings.ts",
    ["tests/text/stop_strings_test.ts"],
    ["end < first.end ||", "end <= first.end ||"],
    ["(end === first.end && start < first.start)", "false"],
    ["stop.length > length && stop.startsWith(tail)", "stop.startsWith(tail.slice(1))"],
    ["this.#include ? match.end : match.start", "match.start"],
  ),
  ...of(
    "src/text/fair_queue.ts",
    ["tests/text/fair_queue_test.ts"],
    ["this.#waitingCost + cost > this.#limits.cost", "this.#waitingCost > this.#limits.cost"],
    ["this.#waitingCost -= removed?.cost ?? 0;", ""],
    ["Math.max(this.#takenCost, owner", "Math.max(0, owner"],
  ),
  ...of(
    "src/text/sentencepiece.ts",
    ["tests/text/gguf_tokenizer_test.ts", "tests/text/tokenizer_parity_test.ts"],
    ["|| ends[right] !== end ||", "||"],
    ["propose(previous[left], left);", ""],
  ),
  ...of(
    "src/routes/access/rate_limit.ts",
    ["tests/routes/access/rate_limit_test.ts"],
    ["tokens >= 1;", "tokens > 1;"],
    ["(now - bucket.at) * perMillisecond", "(now - bucket.at)"],
    ["if (now - at < 60_000) return;", "if (now - at < 0) return;"],
  ),
  ...of(
    "src/routes/generation/plan.ts",
    ["tests/routes/completions_test.ts", "tests/routes/chat_completions_test.ts", "tests/routes/errors_test.ts"],
    ["(request.sampling.seed + choice) >>> 0", "request.sampling.seed >>> 0"],
    ["if (room < wanted) {", "if (room <= wanted) {"],
    ["if (completions <= maxSequences) return;", "if (completions < maxSequences) return;"],
    ["if (tokens[at] < vocabularySize) continue;", "if (tokens[at] <= vocabularySize) continue;"],
    ["Math.max(1, engine.fittingTokens(request))", "engine.fittingTokens(request)"],
  ),
  ...of(
    "src/routes/generation/decode_tally.ts",
    ["tests/routes/generation/decode_tally_test.ts"],
    ["Math.max(0, this.#tokens - 1)", "this.#tokens"],
    ["this.#evictions++;", ""],
  ),
];
