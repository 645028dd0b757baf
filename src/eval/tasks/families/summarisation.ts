/** @file Summarisation: list what one of several reports says, in its order and without what does not matter. */
import { factCount, fillerSentence } from "../document.ts";
import type { Entities } from "../entities.ts";
import type { Random } from "../random.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { FOODS, ROOMS, TOWNS } from "../words.ts";

export function summarisation({ random, entities, length, depth }: TaskContext): TaskPlan {
  const reports = Array.from({ length: factCount(length, 150, 2, 12) }, (_, i) => {
    const author = entities.person();
    const events = Array.from({ length: random.between(2, 4) }, () => event(random, entities));
    const heading = `Report of ${author} :`;
    const sentences = events.flatMap((text) => random.next() < 0.2 ? [fillerSentence(random), text] : [text]);
    return {
      author,
      heading,
      events,
      text: `${heading} ${sentences.join(" ")} End of the report.`,
      depth: i === 0 ? depth : undefined,
    };
  });
  return {
    opening: "Read the reports.",
    passages: reports,
    questions: reports.map(({ author, heading, events }) => ({
      text: `What does the report of ${author} say?`,
      answers: [[heading, ...events].join(" ")],
      reply: [heading, ...events].join(" "),
      answerPrefix: heading,
    })),
  };
}

function event(random: Random, entities: Entities): string {
  return random.pick<() => string>([
    () => `${entities.person()} sold the ${entities.thing()}.`,
    () => `${entities.person()} found a ${entities.thing()} in the ${random.pick(ROOMS)}.`,
    () => `${entities.person()} moved to ${random.pick(TOWNS)}.`,
    () => `${entities.person()} brought ${random.pick(FOODS)} to the ${random.pick(ROOMS)}.`,
  ])();
}
