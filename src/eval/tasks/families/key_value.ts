/** @file Key-value retrieval: a list of many doors and their codes; one code is asked for. No filler: all is alike. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";

export function keyValue({ entities, length, depth }: TaskContext): TaskPlan {
  const entries = Array.from({ length: factCount(length, 24, 3, 160) }, (_, i) => {
    const person = entities.person();
    const code = entities.number(4);
    const answerPrefix = `The code of ${person} is`;
    return { person, code, answerPrefix, text: `${answerPrefix} ${code}.`, depth: i === 0 ? depth : undefined };
  });
  return {
    opening: "Read the list of codes.",
    passages: entries,
    questions: entries.map(({ person, code, answerPrefix, text }) => ({
      text: `What is the code of ${person}?`,
      answers: [code],
      reply: text,
      answerPrefix,
    })),
  };
}
