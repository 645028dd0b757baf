/**
 * @file Answers of models in this process whose caches evict while tokens are generated.
 *
 *     decoding      16 tokens            | document, question                    | answer
 *     long-answer   document, question   | other text, what the answer begins by | answer
 *                   prompt, read as such | fed as if generated, evict, evict ... | drawn
 *
 * Where the prompt is within the budget, nothing is compressed at its end: all that is lost is lost by evictions.
 */
import { parseBudget } from "../../cache/budgets.ts";
import type { Continuation, KvCacheChoice } from "../../contract/generation.ts";
import { GREEDY } from "../../contract/sampling.ts";
import type { Answer } from "./answers.ts";
import type { Askable } from "./ask.ts";
import type { Answerer } from "../comparison/compare.ts";
import { type Contender, FULL } from "../comparison/contender.ts";
import { comparisonOf } from "./engine_answers.ts";
import type { DecodingMode } from "./modes.ts";
import { fillerProse } from "../suites/prose.ts";
import { seededRandom } from "../suites/random.ts";
import type { Question } from "../suites/question.ts";

/** Tokens of the prompt that `decoding` reads as one: fewer than any budget worth measuring has rows. */
const PROMPT_TOKENS = 16;
/** Tokens of other text in the answers of `long-answer`. */
export const OTHER_TOKENS = 1024;
/** Sentences that have more tokens than that. */
const OTHER_SENTENCES = 300;

/** A question in two parts. */
interface Parts {
  readonly prompt: Uint32Array;
  /** What is fed as if it had been generated. */
  readonly fed: Uint32Array;
  /** Tokens that budgets are shares of. */
  readonly length: number;
}

async function partsOf(text: Askable["text"], question: Question, mode: DecodingMode): Promise<Parts> {
  if (mode === "decoding") {
    const whole = await text.encode(question.prompt);
    return { prompt: whole.slice(0, PROMPT_TOKENS), fed: whole.slice(PROMPT_TOKENS), length: whole.length };
  }
  const { task, index, prompt, answerStart } = question;
  const prose = fillerProse(seededRandom(task, index, "long answer"), OTHER_SENTENCES);
  const other = (await text.encode(prose, { addSpecial: false })).slice(0, OTHER_TOKENS);
  const begun = await text.encode("\n" + prompt.slice(answerStart), { addSpecial: false });
  const fed = Uint32Array.from([...other, ...begun]);
  return { prompt: await text.encode(prompt.slice(0, answerStart)), fed, length: fed.length };
}

/** What came of feeding a text. */
interface Generated {
  /** Ids of the tokens drawn, with the one that ended the answer. */
  readonly tokens: readonly number[];
  /** As far as they were asked for, `[vocabulary]` each. */
  readonly logits: readonly Float32Array[];
  /** What each layer held after the last eviction; all of what was given where there was none. */
  readonly rowsPerLayer: readonly number[];
}

export interface DecodingAnswersOptions {
  readonly mode: DecodingMode;
  /** A contender's field `kv_cache` as the engine is to be told. */
  parseChoice(
    kvCache: { readonly policy: string; readonly budget: number; readonly decode_eviction?: boolean },
  ): KvCacheChoice;
}

/** Answers questions with a running engine. */
export function decodingAnswerer(
  { engine, text }: Askable,
  { mode, parseChoice }: DecodingAnswersOptions,
): Answerer {
  const { tokenizer } = text;
  return async (question, contenders, onAnswer = () => {}) => {
    const { prompt, fed, length } = await partsOf(text, question, mode);
    const choiceOf = ({ policy, budget }: Contender) =>
      budget === null
        ? parseChoice({ policy, budget: prompt.length + fed.length })
        : parseChoice({ policy, budget: parseBudget(budget, length), decode_eviction: true });
    const generate = async (
      kvCache: KvCacheChoice,
      continuation: Continuation,
      maxTokens: number,
    ): Promise<Generated> => {
      const stopTokens = tokenizer.endTokens;
      const { events } = engine.generate({ prompt, continuation, maxTokens, stopTokens, sampling: GREEDY, kvCache });
      const tokens: number[] = [];
      const logits: Float32Array[] = [];
      let rowsPerLayer: readonly number[] = [];
      for await (const event of events) {
        if (event.type === "failed") throw new Error(`The generation failed: ${event.message}`);
        if (event.type === "prefilled") rowsPerLayer = event.kvCache.rowsPerLayer.map(() => prompt.length + fed.length);
        if (event.type === "tokens") tokens.push(...event.tokens.map(({ id }) => id));
        if (event.type === "logits") logits.push(...event.logits);
        if (event.type === "evicted") rowsPerLayer = event.rowsPerLayer;
      }
      return { tokens, logits, rowsPerLayer };
    };
    // The full cache is always asked: what it answers is what the others are measured by.
    const asked = [FULL, ...contenders.filter(({ policy }) => policy !== FULL.policy)];
    const choices = asked.map(choiceOf);
    const own = await all(choices.map(async (choice) => {
      const generated = await generate(choice, { tokens: fed }, question.maxTokens);
      onAnswer();
      return generated;
    }));
    const [{ tokens: given }] = own;
    const replay = { tokens: Uint32Array.from([...fed, ...given]), logitsFrom: fed.length };
    const replayed = await all(choices.map((choice) => generate(choice, replay, 1)));
    return asked.map((contender, i): Answer => {
      const { tokens, rowsPerLayer } = own[i];
      const answer = tokenizer.decode(tokens.filter((id) => !tokenizer.endTokens.includes(id)), { continuation: true });
      return {
        task: question.task,
        length: question.length,
        promptTokens: prompt.length + fed.length,
        index: question.index,
        depth: question.depth ?? null,
        ...contender,
        tokens: [...tokens],
        answer,
        score: question.score(answer),
        ...comparisonOf(replayed[i].logits, replayed[0].logits, 0, given.length),
        rowsPerLayer: [...rowsPerLayer],
        bytes: null,
        fullBytes: null,
      };
    }).filter(({ policy }) => contenders.some((contender) => contender.policy === policy));
  };
}

/** Waits for all of them, even where one fails: nothing of a question runs when the next begins. */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
