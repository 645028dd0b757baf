/** @file Multi-document QA: two facts of different documents make the answer, by way of a person who is not asked for. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { FOODS, JOBS, TOWNS } from "../words.ts";

const FIRST_HOPS = [
  { tell: "The best friend of {} is @.", ask: "the best friend of {}" },
  { tell: "The sister of {} is @.", ask: "the sister of {}" },
  { tell: "The teacher of {} is @.", ask: "the teacher of {}" },
  { tell: "The neighbour of {} is @.", ask: "the neighbour of {}" },
] as const;

/** An answer must not stand in the question. */
const UNASKED_JOBS = JOBS.filter((job) => !FIRST_HOPS.some(({ ask }) => ask.includes(job)));

const SECOND_HOPS = [
  { values: TOWNS, tell: "{} lives in @.", ask: "In which town does # live?" },
  { values: UNASKED_JOBS, tell: "{} works as a @.", ask: "What is the job of #?" },
  { values: FOODS, tell: "{} likes to eat @.", ask: "What does # like to eat?" },
] as const;

export function multiDocumentQa({ random, entities, length, depth }: TaskContext): TaskPlan {
  const pairs = Array.from({ length: factCount(length, 100, 2, 24) }, (_, i) => {
    const first = random.pick(FIRST_HOPS);
    const second = random.pick(SECOND_HOPS);
    const person = entities.person();
    const other = entities.person();
    // What the question says, "tea" in "teacher" too, would be found in any reply that restates it.
    const value = random.pick(second.values.filter((value) => !first.ask.includes(value)));
    const told = first.tell.replace("{}", person);
    return {
      answerPrefix: told.slice(0, told.indexOf(" @")),
      question: second.ask.replace("#", first.ask.replace("{}", person)),
      value,
      passages: [
        { text: told.replace("@", other), depth: i === 0 ? depth : undefined },
        { text: second.tell.replace("{}", other).replace("@", value) },
      ],
    };
  });
  return {
    opening: "Read the letters.",
    passages: pairs.flatMap(({ passages }) => passages),
    questions: pairs.map(({ question, value, answerPrefix, passages }) => ({
      text: question,
      answers: [value],
      reply: passages.map(({ text }) => text).join(" "),
      answerPrefix,
    })),
  };
}
