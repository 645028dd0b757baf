/** @file Single-document QA: a fact about one person, at a chosen depth, among the same kinds of facts about others. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { ANIMALS, FOODS, JOBS, OBJECTS, ROOMS, TOWNS } from "../words.ts";

/** What can be known about a person; each relation is told and asked in several ways. */
const RELATIONS = [
  {
    values: TOWNS,
    tell: ["{} lives in @.", "The home town of {} is @.", "{} moved to @."],
    ask: ["What is the home town of {}?", "Which town is the home of {}?"],
  },
  {
    values: JOBS,
    tell: ["{} works as a @.", "{} became a @.", "The job of {} is @."],
    ask: ["What is the job of {}?", "Which work is done by {}?"],
  },
  {
    values: FOODS,
    tell: ["{} likes to eat @.", "The favourite food of {} is @.", "{} often buys @."],
    ask: ["What is the favourite food of {}?", "Which food is liked by {}?"],
  },
  {
    values: ANIMALS,
    tell: ["{} keeps a @.", "The pet of {} is a @.", "{} feeds the @."],
    ask: ["What is the pet of {}?", "Which animal is kept by {}?"],
  },
  {
    values: OBJECTS,
    tell: ["{} bought a @.", "{} lost the @.", "{} repaired the @."],
    ask: ["Which thing is told of {}?", "Which object has to do with {}?"],
  },
  {
    values: ROOMS,
    tell: ["{} waited at the @.", "{} slept in the @.", "{} went to the @."],
    ask: ["Which place is told of {}?", "Which place was visited by {}?"],
  },
] as const;

export function singleDocumentQa({ random, entities, length, depth }: TaskContext): TaskPlan {
  const facts = Array.from({ length: factCount(length, 60, 2, 48) }, (_, i) => {
    const relation = random.pick(RELATIONS);
    const person = entities.person();
    const value = random.pick(relation.values);
    const told = random.pick(relation.tell).replace("{}", person);
    return {
      relation,
      person,
      value,
      answerPrefix: told.slice(0, told.indexOf(" @")),
      text: told.replace("@", value),
      depth: i === 0 ? depth : undefined,
    };
  });
  return {
    opening: "Read the story.",
    passages: facts,
    questions: facts.map(({ relation, person, value, answerPrefix, text }) => ({
      text: random.pick(relation.ask).replace("{}", person),
      answers: [value],
      reply: text,
      answerPrefix,
    })),
  };
}
