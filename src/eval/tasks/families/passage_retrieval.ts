/** @file Passage retrieval: which of many numbered passages says a given thing. */
import { factCount, fillerSentence } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { ROOMS } from "../words.ts";

export function passageRetrieval({ random, entities, length, depth }: TaskContext): TaskPlan {
  const passages = Array.from({ length: factCount(length, 100, 2, 40) }, (_, i) => {
    const number = entities.number(3);
    const person = entities.person();
    const thing = entities.thing();
    const fact = `${person} hid the ${thing} in the ${random.pick(ROOMS)}.`;
    const sentences = [fact, ...Array.from({ length: random.between(0, 2) }, () => fillerSentence(random))];
    const answerPrefix = `The story of ${person} was passage`;
    const closing = `${answerPrefix} ${number}.`;
    return {
      number,
      answerPrefix,
      closing,
      question: `Which passage tells of the ${thing} and of ${person}?`,
      text: [...random.shuffled(sentences), closing].join(" "),
      depth: i === 0 ? depth : undefined,
    };
  });
  return {
    opening: "Read the passages.",
    passages,
    questions: passages.map(({ number, answerPrefix, closing, question }) => ({
      text: question,
      answers: [`passage ${number}`],
      reply: closing,
      answerPrefix,
    })),
  };
}
