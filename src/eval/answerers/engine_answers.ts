/**
 * @file Answers of a model in this process, each compared token by token with what the full cache answers.
 *
 *     contender     prompt -> compress -> question* -> answer          -> rewind -> question* -> the full cache's answer
 *     full cache    prompt ------------> question* -> answer (greedy)  -> rewind -> question* -> its own answer
 *                                                                                    logits of both, at every token
 *
 * (*) where the question is asked after the compression. The second half draws nothing: every cache is fed the same tokens,
 * so what differs between two rows of logits is the work of the cache alone, not of another token before. A second turn
 * follows in both halves.
 */
import type { KvCacheChoice } from "../../contract/generation.ts";
import { GREEDY } from "../../contract/sampling.ts";
import type { Answer } from "./answers.ts";
import type { Askable } from "./ask.ts";
import { type Answerer, secondTurn } from "../comparison/compare.ts";
import { type Contender, FULL } from "../comparison/contender.ts";
import { Dialogue, type Part } from "./dialogue.ts";
import { divergence, likeliest } from "./divergence.ts";
import type { DecodingMode, Mode } from "./modes.ts";
import type { Question } from "../suites/question.ts";

export interface EngineAnswersOptions {
  readonly mode: Exclude<Mode, DecodingMode>;
  /** The contender as the engine is to be told. */
  parseChoice(contender: { readonly policy: string; readonly budget: number | string }): KvCacheChoice;
}

/** A question as tokens. */
interface Asked {
  /** What is compressed. */
  readonly prompt: Uint32Array;
  /** What is fed after that, before the first answer and before the second one; this one is left out where there is none. */
  readonly turns: readonly Uint32Array[];
  readonly maxTokens: readonly number[];
}

/** What is fed to every cache to be compared, and where in it the answers are. */
interface Replay {
  readonly tokens: Uint32Array;
  /** The first token that has logits. */
  readonly logitsFrom: number;
  readonly answers: readonly { readonly start: number; readonly end: number }[];
}

/** Answers questions with a running engine; it needs room for two questions' contenders at once, see `maxBatch`. */
export function engineAnswerer(running: Askable, { mode, parseChoice }: EngineAnswersOptions): Answerer {
  const { engine, text: { tokenizer } } = running;
  return async (question, contenders, onAnswer = () => {}) => {
    const asked = await askedOf(running, question, mode);
    const { prompt, turns, maxTokens } = asked;
    const begin = ({ policy, budget }: Contender) =>
      new Dialogue(engine, {
        prompt,
        continuation: { tokens: turns[0] },
        maxTokens: maxTokens[0],
        stopTokens: tokenizer.endTokens,
        sampling: GREEDY,
        // The full cache's budget is not looked at.
        kvCache: parseChoice({ policy, budget: budget ?? prompt.length }),
        resumableTokens: [...turns.map(({ length }) => length), ...maxTokens].reduce((sum, count) => sum + count, 0),
      });
    // The full cache is always asked: what it answers is what the others are measured by.
    const dialogues = [FULL, ...contenders.filter(({ policy }) => policy !== FULL.policy)]
      .map((contender) => ({ contender, dialogue: begin(contender) }));
    const parts = dialogues.map(({ dialogue }) => answerTurns(dialogue, asked));
    // Where one fails, it is the question that fails.
    for (const part of parts) part.then(onAnswer, () => {});
    const replay = parts[0].then((full) => replayOf(asked, full));
    const logits = dialogues.map(async ({ dialogue }, i) => {
      await parts[i];
      return await logitsOf(dialogue, await replay);
    });
    // Where one fails, the others are waited for before the next question; and none fails unseen.
    const settled = Promise.allSettled([...parts, ...logits, replay]);
    try {
      const answers = await Promise.all(dialogues.map(async ({ contender, dialogue }, i): Promise<Answer[]> => {
        const { answers: places, logitsFrom } = await replay;
        const [own, full] = [await logits[i], await logits[0]];
        return (await parts[i]).map(({ tokens }, turn) => {
          const scored = turn === 0 ? question : question.followUp!;
          const answered = tokens.filter((id) => !tokenizer.endTokens.includes(id));
          // With the space that sets it apart from what a prompt begins the answer with.
          const text = tokenizer.decode(answered, { continuation: true });
          const { start, end } = places[turn];
          const { rowsPerLayer, bytes, fullBytes } = dialogue.kvCache!;
          return {
            task: turn === 0 ? question.task : secondTurn(question.task),
            length: question.length,
            promptTokens: prompt.length,
            index: question.index,
            depth: question.depth ?? null,
            ...contender,
            tokens: [...tokens],
            answer: text,
            score: scored.score(text),
            ...comparisonOf(own, full, Math.max(start, logitsFrom) - logitsFrom, end - logitsFrom),
            rowsPerLayer: [...rowsPerLayer],
            bytes,
            fullBytes,
          };
        });
      }));
      return answers.flat().filter(({ policy }) => contenders.some((contender) => contender.policy === policy));
    } finally {
      await settled;
      await Promise.all(dialogues.map(({ dialogue }) => dialogue.end()));
    }
  };
}

async function askedOf({ text }: Askable, question: Question, mode: EngineAnswersOptions["mode"]): Promise<Asked> {
  const { prompt, questionStart, followUp, maxTokens } = question;
  const whole = await text.encode(prompt);
  if (mode === "query-agnostic") {
    if (!questionStart) throw new Error(`The question of ${question.task} cannot be told from what comes before it`);
    const context = await text.encode(prompt.slice(0, questionStart));
    // Cut so that the tokens are those of the whole text, even if one crosses the place.
    const cut = sharedLength(whole, context);
    return { prompt: whole.slice(0, cut), turns: [whole.slice(cut)], maxTokens: [maxTokens] };
  }
  if (followUp === undefined) return { prompt: whole, turns: [new Uint32Array()], maxTokens: [maxTokens] };
  const turn = await text.encode(followUp.text, { addSpecial: false });
  return { prompt: whole, turns: [new Uint32Array(), turn], maxTokens: [maxTokens, followUp.maxTokens] };
}

function sharedLength(a: Uint32Array, b: Uint32Array): number {
  let length = 0;
  while (length < b.length && a[length] === b[length]) length++;
  return length;
}

/** The answers to the question and, if there is one, to the next. */
async function answerTurns(dialogue: Dialogue, { turns, maxTokens }: Asked): Promise<Part[]> {
  const first = await dialogue.part();
  if (turns.length === 1) return [first];
  const tokens = behind(first, turns[1]);
  return [
    first,
    await dialogue.resume({ rewind: false, continuation: { tokens }, maxTokens: maxTokens[1] }),
  ];
}

/** What follows an answer: a turn begins with the token that ends the one before, which may have been drawn already. */
function behind({ tokens }: Part, turn: Uint32Array): Uint32Array {
  return tokens.at(-1) === turn[0] ? turn.slice(1) : turn;
}

function replayOf({ turns }: Asked, parts: readonly Part[]): Replay {
  const tokens: number[] = [...turns[0]];
  const answers = parts.map((part, i) => {
    if (i > 0) tokens.push(...behind(parts[i - 1], turns[i]));
    const start = tokens.length;
    tokens.push(...part.tokens);
    return { start, end: tokens.length };
  });
  // The first token behind a prompt is drawn before anything is compressed: there is nothing to compare.
  return { tokens: Uint32Array.from(tokens), logitsFrom: Math.max(1, answers[0].start), answers };
}

async function logitsOf(dialogue: Dialogue, { tokens, logitsFrom }: Replay): Promise<readonly Float32Array[]> {
  if (tokens.length <= logitsFrom) return [];
  const resumption = { rewind: true, continuation: { tokens, logitsFrom }, maxTokens: 0 };
  const { logits } = await dialogue.resume(resumption);
  if (logits.length === tokens.length - logitsFrom) return logits;
  throw new Error(`The engine reported logits of ${logits.length} tokens, not of ${tokens.length - logitsFrom}`);
}

/** Means over the tokens from `start` to `end`; null where there is none. */
export function comparisonOf(
  own: readonly Float32Array[],
  full: readonly Float32Array[],
  start: number,
  end: number,
): Pick<Answer, "agreement" | "divergence"> {
  const count = end - start;
  if (count <= 0) return { agreement: null, divergence: null };
  let same = 0;
  let sum = 0;
  for (let token = start; token < end; token++) {
    if (likeliest(own[token]) === likeliest(full[token])) same++;
    sum += divergence(full[token], own[token]);
  }
  return { agreement: same / count, divergence: sum / count };
}
