/** @file Passage retrieval: which of many numbered passages says a given thing. */
import { factCount, fillerSentence } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { ROOMS } from "../words.ts";

export function passageRetrieval({ random, entities, length, depth }: TaskContext): TaskPlan {
  const passages = Array.from({ length: factCount(length, 100, 2, 40) }, (_, i) => {
    const number = entities.number(3);
    const fact = `${entities.person()} hid the ${entities.thing()} in the ${random.pick(ROOMS)}.`;
    const sentences = Array.from({ length: random.between(0, 2) }, () => fillerSentence(random));
    return {
      number,
      fact,
      text: [...sentences, fact, `This was passage ${number}.`].join(" "),
      depth: i === 0 ? depth : undefined,
    };
  });
  return {
    opening: "Read the passages.",
    passages,
    questions: passages.map(({ fact, number }) => ({
      text: `Which passage says this? ${fact}`,
      answers: [`passage ${number}`],
      reply: `This was passage ${number}.`,
    })),
  };
}
