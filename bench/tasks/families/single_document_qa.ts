/** @file Single-document QA: a fact about one person, at a chosen depth, among the same kinds of facts about others. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { ANIMALS, FOODS, JOBS, OBJECTS, ROOMS, TOWNS } from "../words.ts";

/** What can be known about a person; each relation is told and asked in several ways. */
const RELATIONS = [
  {
    values: TOWNS,
    tell: ["{} lives in the town of @.", "The home town of {} is @.", "{} has a house in @."],
    ask: ["In which town does {} live?", "What is the home town of {}?"],
  },
  {
    values: JOBS,
    tell: ["{} works as a @.", "{} earns a living as a @.", "The job of {} is @."],
    ask: ["What is the job of {}?", "What does {} do for a living?"],
  },
  {
    values: FOODS,
    tell: ["{} likes to eat @.", "The favourite food of {} is @.", "{} buys @ every week."],
    ask: ["What does {} like to eat?", "Which food does {} like best?"],
  },
  {
    values: ANIMALS,
    tell: ["{} keeps a @.", "The pet of {} is a @.", "{} takes care of a @."],
    ask: ["Which animal does {} keep?", "What is the pet of {}?"],
  },
  {
    values: OBJECTS,
    tell: ["{} collects every kind of @.", "{} lost a @.", "{} repaired the @."],
    ask: ["Which thing of {} is told about?", "Which object has to do with {}?"],
  },
  {
    values: ROOMS,
    tell: ["{} waited at the @.", "{} was seen in the @.", "{} spent the day at the @."],
    ask: ["Where was {}?", "At which place was {} on that day?"],
  },
] as const;

export function singleDocumentQa({ random, entities, length, depth }: TaskContext): TaskPlan {
  const facts = Array.from({ length: factCount(length, 60, 2, 48) }, (_, i) => {
    const relation = random.pick(RELATIONS);
    const person = entities.person();
    const value = random.pick(relation.values);
    const text = random.pick(relation.tell).replace("{}", person).replace("@", value);
    return { relation, person, value, text, depth: i === 0 ? depth : undefined };
  });
  return {
    opening: "Read the story.",
    passages: facts,
    questions: facts.map(({ relation, person, value, text }) => ({
      text: random.pick(relation.ask).replace("{}", person),
      answers: [value],
      reply: text,
    })),
  };
}
