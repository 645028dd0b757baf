/** @file Variable chains, after RULER's variable tracking: boxes that hold a number, or whatever another box holds. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";

export function variableChain({ random, entities, length, depth }: TaskContext): TaskPlan {
  const chains = Array.from({ length: factCount(length, 200, 2, 10) }, (_, i) => {
    const number = entities.number(4);
    const boxes = Array.from({ length: random.between(2, 3) }, () => entities.distinctThing());
    const steps = boxes.map((box, j) =>
      j + 1 < boxes.length ? `The ${box} copies the ${boxes[j + 1]}.` : `The ${box} holds number ${number}.`
    );
    return { number, boxes, steps, depth: i === 0 ? depth : undefined };
  });
  return {
    opening: "Read what holds what.",
    passages: chains.flatMap(({ steps, depth }) => random.shuffled(steps).map((text) => ({ text, depth }))),
    questions: chains.map(({ number, boxes, steps }) => ({
      text: `Which number does the ${boxes[0]} hold?`,
      answers: [number],
      reply: steps.join(" "),
      answerPrefix: `The ${boxes[0]} copies the`,
    })),
  };
}
