/** @file Documents of a wanted length: the facts of a sample, spread among sentences that do not matter. */
import type { Random } from "./random.ts";
import type { Question, TaskContext, TaskPlan, TaskRequest } from "./task.ts";
import { ADJECTIVES, ANIMALS, FOODS, OBJECTS, ROOMS } from "./words.ts";

/**
 * A prompt of at most `length` tokens that holds every passage, filler as long as it fits, and the first question.
 * Passages without a depth are spread at random.
 *
 * @throws {RangeError} when the passages alone are longer than the prompt may be
 */
export function buildPrompt(
  { opening, passages, questions, filler, separator = " " }: TaskPlan,
  { random, length, countTokens }: Pick<TaskContext, "random" | "length"> & Pick<TaskRequest, "countTokens">,
): string {
  // A piece and what separates it are counted together, behind a full stop: a line break takes no space before it.
  const front = countTokens(".");
  const cost = (text: string) => countTokens(`.${separator}${text}`) - front;
  const question = askQuestion(questions[0]);
  let left = length -
    [opening, question, ...passages.map(({ text }) => text)].reduce((sum, text) => sum + cost(text), 0);
  if (left < 0) {
    throw new RangeError(`A prompt of ${length} tokens has no room for its facts: expected ${-left} more tokens`);
  }
  const nextFiller = filler ?? (() => fillerSentence(random));
  const fillers: string[] = [];
  for (let next = nextFiller(); cost(next) <= left; next = nextFiller()) {
    fillers.push(next);
    left -= cost(next);
  }
  const pieces = [
    ...fillers.map((text, i) => ({ text, place: (i + 0.5) / fillers.length })),
    ...passages.map(({ text, depth }) => ({ text, place: depth ?? random.next() })),
  ];
  const document = pieces.toSorted((a, b) => a.place - b.place).map(({ text }) => text);
  return [opening, ...document, question].join(separator);
}

/** A question as a prompt or a later turn puts it. */
export function askQuestion({ text }: Question): string {
  return `Question: ${text} Answer:`;
}

/** How many facts suit a document: one per `spacing` tokens, within `[minimum, maximum]`. */
export function factCount(length: number, spacing: number, minimum: number, maximum: number): number {
  return Math.max(minimum, Math.min(maximum, Math.floor((length - 60) / spacing)));
}

/** A sentence that answers no question. */
export function fillerSentence(random: Random): string {
  const object = () => random.pick(OBJECTS);
  const adjective = () => random.pick(ADJECTIVES);
  const animal = () => random.pick(ANIMALS);
  const room = () => random.pick(ROOMS);
  const food = () => random.pick(FOODS);
  return random.pick<() => string>([
    () => `The ${animal()} slept near the ${room()} all day.`,
    () => `A ${adjective()} ${animal()} ran past the ${room()}.`,
    () => `It rained in the morning and the ${room()} was ${adjective()}.`,
    () => `Somebody left some ${food()} on the table.`,
    () => `The children liked the ${food()} more than the ${food()}.`,
    () => `There was a ${object()} by the window.`,
    () => `We walked to the ${room()} and back again.`,
    () => `The wind was cold and the sky was ${adjective()}.`,
    () => `They sat down and talked about the ${animal()}.`,
    () => `In the evening there was ${food()} for everyone.`,
    () => `Nobody knew why the ${object()} was so ${adjective()}.`,
    () => `The ${animal()} and the ${animal()} looked at the moon.`,
    () => `The road to the ${room()} is long.`,
    () => `At noon the bells rang and the ${animal()} ran away.`,
    () => `She said that the ${food()} was good.`,
    () => `He wanted to see the ${room()} before the night.`,
  ])();
}
