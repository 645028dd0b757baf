/** @file Few-shot classification: the label of a thing follows from its kind, as the prompt's examples show. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { LABELS, OBJECTS } from "../words.ts";

export function fewShot({ random, entities, length }: TaskContext): TaskPlan {
  // The rule: the noun decides, the adjective does not matter.
  const labels = new Map(
    random.shuffled(OBJECTS).slice(0, factCount(length, 64, 5, 12))
      .map((noun) => [noun, random.pick(LABELS)]),
  );
  const nounOf = (thing: string) => thing.split(" ")[1];
  const nouns = [...labels.keys()];
  const beginning = (thing: string) => `A ${thing} belongs to group`;
  const statement = (thing: string) => `${beginning(thing)} ${labels.get(nounOf(thing))}.`;
  const examples = [
    ...nouns.map((noun) => entities.thing([noun])),
    ...nouns.map(() => entities.thing(nouns)),
  ];
  const asked = Array.from({ length: 4 }, () => entities.thing(nouns));
  return {
    opening: "Read how things are sorted.",
    passages: examples.map((thing) => ({ text: statement(thing) })),
    questions: asked.map((thing) => ({
      text: `To which group does a ${thing} belong?`,
      answers: [labels.get(nounOf(thing))!],
      reply: statement(thing),
      answerPrefix: beginning(thing),
    })),
  };
}
