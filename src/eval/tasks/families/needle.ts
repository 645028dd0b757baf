/** @file A needle in a haystack, after RULER: one magic number in a long text about other things. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";

export function needle({ random, entities, length, depth }: TaskContext): TaskPlan {
  const needles = Array.from({ length: 1 + random.below(factCount(length, 100, 2, 5)) }, (_, i) => {
    const thing = entities.thing();
    const number = entities.number(5);
    const answerPrefix = `The magic number for the ${thing} is`;
    const text = `${answerPrefix} ${number}.`;
    return { thing, number, answerPrefix, text, depth: i === 0 ? depth : undefined };
  });
  return {
    opening: "Remember the magic numbers.",
    passages: needles,
    questions: needles.map(({ thing, number, answerPrefix, text }) => ({
      text: `What is the magic number for the ${thing}?`,
      answers: [number],
      reply: text,
      answerPrefix,
    })),
  };
}
